//! Starts the measured server in a separate process: Tidemark or the baseline, each with a new
//! folder and a free port.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tidemark::auth::{self, Identity};
use tidemark_aws::Clock;

use crate::{client::Api, cpu::Usage};

/// Share of a CPU below which a process is idle.
const IDLE: f64 = 0.03;
const IDLE_LOOK: Duration = Duration::from_millis(50);

/// The kind of server that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The local runner: all functions, the streams and the embedded engine.
    Tidemark,
    /// The minimal implementation of the baseline.
    Baseline,
}

/// A running server process, which is killed on drop.
pub struct Subject {
    /// The kind of this server.
    pub kind: Kind,
    /// An API client for this server.
    pub api: Api,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// Keeps the folder until the process has ended.
    _folder: TempDir,
}

impl Subject {
    /// Starts a server; `program` is the path of the `bench` binary.
    pub fn start(program: &Path, kind: Kind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let name = match kind {
            Kind::Tidemark => "serve-tidemark",
            Kind::Baseline => "serve-baseline",
        };

        let mut command = Command::new(program);
        command
            .arg(name)
            .arg(folder.path().join("kept"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();

        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut output = BufReader::new(output);
        let mut addr = String::new();
        output.read_line(&mut addr).unwrap();
        assert!(!addr.is_empty(), "{name} did not start");

        Self {
            kind,
            api: Api::new(&format!("http://{}", addr.trim_end())),
            child,
            input,
            output,
            _folder: folder,
        }
    }

    /// Returns the usage of the process so far.
    pub fn usage(&mut self) -> Usage {
        writeln!(self.input).unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// Waits until the server has no work left, such as changes to sequence, and returns its usage
    /// at that time.
    pub async fn idle(&mut self) -> Usage {
        let mut before = self.usage();
        loop {
            tokio::time::sleep(IDLE_LOOK).await;
            let now = self.usage();
            if now.process_s - before.process_s < IDLE * IDLE_LOOK.as_secs_f64() {
                return now;
            }
            before = now;
        }
    }

    /// Returns the token of a user of the tenant `acme`.
    pub fn token(&self, user: &str) -> String {
        match self.kind {
            Kind::Tidemark => {
                let identity = Identity {
                    tenant: "acme",
                    user,
                    roles: &[],
                    channels: &[],
                };
                auth::mint(identity, Clock::system().now().timestamp(), auth::TTL_S).unwrap()
            }
            // The baseline does not verify tokens.
            Kind::Baseline => user.to_owned(),
        }
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        // The process may have exited already; the error is ignored.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
