//! The whole system, wired and running: a listener, the engines, the functions, the pump. The
//! command line starts one, and so do tests, as many at a time as they like.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidemark_aws::Clock;
use tidemark_core::origins::{AllowedOrigins, OriginError};
use tidemark_core::routes::ROUTES;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::data_folder::{DataFolder, DataFolderError};
use crate::deployment::{self, Clients, DeploymentError};
use crate::engine::http::{EngineClient, Hook, NoHook, dynamodb_client};
use crate::engine::{Engine, EngineError};
use crate::event_source::EventSourceMapping;
use crate::gateway::{self, ApiKind, Front, Guard, RouteError};
use crate::store::client::{StoreClient, s3_client};
use crate::store::{Store, StoreError};
use crate::template::{Template, TemplateError};

/// DynamoDB promises to delete expired rows within days; here it is a minute.
pub const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// A client that neither finishes nor goes away must not keep the runner from stopping.
const STOP_MAX: Duration = Duration::from_secs(5);

/// Where the data lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// In this folder, for the next start.
    Folder(PathBuf),
    /// In memory; media in a temporary folder. Gone with the system.
    Memory,
}

/// How to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// Port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Where the data lives.
    pub storage: Storage,
    /// Which of API Gateway's products to imitate.
    pub api: ApiKind,
    /// Origins whose pages may use the API and upload media, separated by commas:
    /// [`deployment::LOCAL_ORIGINS`] and more.
    pub allowed_origins: String,
    /// How long after a start, and after each time, expired rows are deleted again:
    /// [`SWEEP_EVERY`], or what a test cannot wait for.
    pub sweep_every: Duration,
}

/// Why the system does not start. The messages are for the person at the terminal.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Somebody listens there already.
    #[error(
        "port {0} on 127.0.0.1 is already in use; stop what uses it, or choose another one with --port"
    )]
    PortInUse(u16),
    /// The port cannot be had for another reason.
    #[error("cannot listen on 127.0.0.1:{port}: {source}")]
    Listen {
        /// The port.
        port: u16,
        /// What the operating system said.
        source: io::Error,
    },
    /// The data folder.
    #[error(transparent)]
    Folder(#[from] DataFolderError),
    /// The embedded DynamoDB.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The embedded S3.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// `template.yaml`.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The functions or tables.
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
    /// The routes.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// The allowed origins.
    #[error(transparent)]
    Origins(#[from] OriginError),
}

/// A running system. Dropping it without [`System::stop`] leaves its tasks to the runtime.
pub struct System {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Its DynamoDB.
    pub engine: Engine,
    shutdown: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    /// Held, not read: with it goes the folder's lock.
    _folder: Option<DataFolder>,
}

impl System {
    /// Starts everything and returns when it answers.
    ///
    /// # Errors
    /// The port, the data folder or the template; see [`StartError`].
    pub async fn start(options: Options) -> Result<Self, StartError> {
        Self::start_hooked(options, Arc::new(NoHook)).await
    }

    /// The same, with a hook on the functions' calls to their tables, for whoever measures these.
    ///
    /// # Errors
    /// As for [`System::start`].
    pub async fn start_hooked(options: Options, hook: Arc<dyn Hook>) -> Result<Self, StartError> {
        // First of all: a second runner by mistake must not touch the folder of the first.
        let listener = listen(options.port).await?;
        let addr = listener.local_addr().map_err(|source| StartError::Listen {
            port: options.port,
            source,
        })?;
        let (folder, engine, store) = open(&options.storage)?;

        let template =
            Template::built_in()?.with_variable("ALLOWED_ORIGINS", &options.allowed_origins);
        let origins = AllowedOrigins::parse(&options.allowed_origins)?;
        deployment::create_tables(&engine, &template)?;
        let clients = |function: &str| Clients {
            dynamodb: dynamodb_client(EngineClient::with_hook(engine.clone(), Arc::clone(&hook))),
            // Looked at in this process; the upload URLs lead devices to the front.
            bucket: s3_client(
                StoreClient::new(store.clone()),
                &format!("http://{addr}"),
                function,
            ),
            // There is no SNS on this machine, so `notify` tells nobody; its stream is read, and
            // trimmed, all the same.
            sns: None,
        };
        let clock = Clock::system();
        let functions = deployment::functions(&template, &clients, &clock)?;
        let invocations = deployment::invocations(&template, &clients, &clock)?;
        let guard = Guard {
            port: addr.port(),
            origins,
        };
        let (kind, engine_of_front, store) = (options.api, engine.clone(), store.clone());
        let front = Front {
            kind,
            engine: engine_of_front,
            store,
            clock: clock.clone(),
            invocations,
            guard,
        };
        let router = gateway::router(front, ROUTES, &functions)?;

        let (shutdown, stopped) = watch::channel(false);
        let mut tasks = vec![tokio::spawn(sweep(
            engine.clone(),
            options.sweep_every,
            stopped.clone(),
        ))];
        for mapping in template.stream_mappings()? {
            let clients = clients(&mapping.function);
            let context =
                deployment::stream_context(&template, &mapping.function, clients, clock.clone())?;
            let emulator = EventSourceMapping::new(
                engine.clone(),
                &mapping,
                deployment::stream_function(&mapping.function, context)?,
            );
            tasks.push(tokio::spawn(emulator.run(stopped.clone())));
        }
        tasks.push(tokio::spawn(serve(listener, router, stopped)));
        Ok(Self {
            addr,
            engine,
            shutdown,
            tasks,
            _folder: folder,
        })
    }

    /// Starts the embedded DynamoDB alone, without tables, for whoever makes their own, and returns
    /// when it answers.
    ///
    /// # Errors
    /// The port or the data folder; see [`StartError`].
    pub async fn start_dynamodb(port: u16, storage: Storage) -> Result<Self, StartError> {
        let listener = listen(port).await?;
        let addr = listener
            .local_addr()
            .map_err(|source| StartError::Listen { port, source })?;
        let (folder, engine) = match storage {
            Storage::Folder(root) => {
                let folder = DataFolder::open(&root)?;
                let engine = Engine::open(&folder.database())?;
                (Some(folder), engine)
            }
            Storage::Memory => (None, Engine::memory()?),
        };
        let (shutdown, stopped) = watch::channel(false);
        let router = gateway::dynamodb_router(engine.clone(), addr.port());
        let tasks = vec![
            tokio::spawn(sweep(engine.clone(), SWEEP_EVERY, stopped.clone())),
            tokio::spawn(serve(listener, router, stopped)),
        ];
        Ok(Self {
            addr,
            engine,
            shutdown,
            tasks,
            _folder: folder,
        })
    }

    /// Stops: no new connections, requests and the pump's batch finish, the data folder is free.
    pub async fn stop(self) {
        // Nobody listening any more is what is wanted.
        let _ = self.shutdown.send(true);
        for mut task in self.tasks {
            if tokio::time::timeout(STOP_MAX, &mut task).await.is_err() {
                tracing::warn!("a task did not stop in time and is left behind");
                task.abort();
            }
        }
    }
}

async fn listen(port: u16) -> Result<TcpListener, StartError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => StartError::PortInUse(port),
            _ => StartError::Listen { port, source },
        })
}

fn open(storage: &Storage) -> Result<(Option<DataFolder>, Engine, Store), StartError> {
    match storage {
        Storage::Folder(root) => {
            let folder = DataFolder::open(root)?;
            let (engine, store) = (
                Engine::open(&folder.database())?,
                Store::open(&folder.media())?,
            );
            Ok((Some(folder), engine, store))
        }
        Storage::Memory => Ok((None, Engine::memory()?, Store::temporary()?)),
    }
}

async fn serve(listener: TcpListener, router: axum::Router, mut stopped: watch::Receiver<bool>) {
    let until_stopped = async move {
        // A sender that is gone says the same.
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    if let Err(error) = axum::serve(listener, router)
        .with_graceful_shutdown(until_stopped)
        .await
    {
        tracing::error!(%error, "the listener failed");
    }
}

/// At the start too: whoever never runs it for long would keep everything for ever.
async fn sweep(engine: Engine, every: Duration, mut stopped: watch::Receiver<bool>) {
    loop {
        let swept = engine.sweep_expired().and_then(|_| engine.compact());
        if let Err(error) = swept {
            tracing::warn!(%error, "expired rows were not swept, or their room was not given back");
        }
        // The wait ends early only when the system stops.
        if tokio::time::timeout(every, stopped.wait_for(|stop| *stop))
            .await
            .is_ok()
        {
            return;
        }
    }
}
