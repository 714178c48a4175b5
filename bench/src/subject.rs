//! What is measured, as a process of its own: Tidemark or the floor, each with a new folder on a
//! free port.

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

/// A process is idle when it uses less than this share of a processor.
const IDLE: f64 = 0.03;
const IDLE_LOOK: Duration = Duration::from_millis(50);

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The local runner: all functions, the streams and the embedded engine.
    Tidemark,
    /// The least that could do the work.
    Floor,
}

/// A running process. Dropped, it ends.
pub struct Subject {
    /// Which.
    pub kind: Kind,
    /// A client of it.
    pub api: Api,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// Held, not read: it goes with the process.
    _folder: TempDir,
}

impl Subject {
    /// Starts one; `program` is the binary `bench`.
    pub fn start(program: &Path, kind: Kind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let name = match kind {
            Kind::Tidemark => "serve-tidemark",
            Kind::Floor => "serve-floor",
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

    /// What it has used so far.
    pub fn usage(&mut self) -> Usage {
        writeln!(self.input).unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// Waits until it has nothing left to do, such as changes to sequence; gives what it has used
    /// by then.
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

    /// The token of a user of the tenant `acme`.
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
            // It believes what it is told.
            Kind::Floor => user.to_owned(),
        }
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
