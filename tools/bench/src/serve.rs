//! The measured child process. It prints its address, responds to each line on stdin with its usage
//! so far, and exits when stdin is closed, so that it does not outlive the measurement.

use std::{
    io::{self, BufRead as _, Write as _},
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
};

use tidemark::{
    gateway::ApiKind,
    system::{Options, SWEEP_EVERY, Storage, System},
};

use crate::{
    baseline,
    cpu::{StoreCpu, Usage},
};

/// Runs a complete Tidemark deployment with its data in this folder.
pub fn tidemark(folder: &Path) {
    let store = Arc::new(StoreCpu::default());
    let storage = Storage::Folder(folder.to_owned());
    let options = Options {
        port: 0,
        storage,
        api: ApiKind::Rest,
        allowed_origins: String::new(),
        sweep_every: SWEEP_EVERY,
    };

    runtime().block_on(async {
        let system = System::start_hooked(options, store.clone()).await.unwrap();
        report(system.addr, store).await;
        system.stop().await;
    });
}

/// Runs the baseline server with its data in this folder.
pub fn baseline(folder: &Path) {
    let store = Arc::new(StoreCpu::default());
    let router = baseline::router(baseline::Store::open(folder, store.clone()));
    runtime().block_on(async {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .unwrap();
        let addr = listener.local_addr().unwrap();
        let server = tokio::spawn(async { axum::serve(listener, router).await });
        report(addr, store).await;
        server.abort();
    });
}

async fn report(addr: SocketAddr, store: Arc<StoreCpu>) {
    let responder = tokio::task::spawn_blocking(move || {
        let mut output = io::stdout();
        writeln!(output, "{addr}").unwrap();
        for _ in io::stdin().lock().lines() {
            let usage = serde_json::to_string(&Usage::now(&store)).unwrap();
            writeln!(output, "{usage}").unwrap();
        }
    });
    responder.await.unwrap();
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().unwrap()
}
