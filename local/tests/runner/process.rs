//! The built runner as a child process: started on a free port, watched on both its outputs, and
//! killed when a test ends, however it ends. Nothing here waits without a bound.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::client::Client;

/// The longest that anything here may take: long enough for a busy machine, short enough for a
/// person.
pub const WAIT_MAX: Duration = Duration::from_secs(20);

/// Held by a test that wants the machine to itself: one that measures, or one that makes a storm.
pub fn one_at_a_time() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::new(());
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process that has ended.
#[derive(Debug)]
pub struct ExitedProcess {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote on stdout.
    pub stdout: String,
    /// What it wrote on stderr.
    pub stderr: String,
}

/// A runner that listens.
pub struct Runner {
    process: Process,
    /// Where it listens.
    pub addr: SocketAddr,
}

impl Runner {
    /// Starts a runner on a free port that keeps its data in `folder`.
    pub fn on(folder: &Path) -> Self {
        Self::start(
            folder.parent().unwrap(),
            &["--data", folder.to_str().unwrap()],
        )
    }

    /// Starts a runner on a free port, with these further arguments, in the working directory
    /// `home`.
    pub fn start(home: &Path, arguments: &[&str]) -> Self {
        Self::listening(
            home,
            &[&["--port", "0"], arguments].concat(),
            "tidemark is listening on http://",
        )
    }

    /// Starts the embedded DynamoDB alone, likewise.
    pub fn dynamodb(home: &Path, arguments: &[&str]) -> Self {
        Self::listening(
            home,
            &[&["dynamodb", "--port", "0"], arguments].concat(),
            "DynamoDB is listening on http://",
        )
    }

    fn listening(home: &Path, arguments: &[&str], words: &str) -> Self {
        let process = Process::spawn(home, arguments);
        let Ok(line) = process.stdout.recv_timeout(WAIT_MAX) else {
            panic!(
                "the runner did not say where it listens: {:?}",
                process.end()
            );
        };
        let addr = line
            .strip_prefix(words)
            .and_then(|addr| addr.trim_end().parse().ok());
        let addr = addr.unwrap_or_else(|| panic!("not where it listens: {line:?}"));
        Self { process, addr }
    }

    /// A new connection to it.
    pub fn client(&self) -> Client {
        Client::connect(self.addr).expect("a runner that listens accepts a connection")
    }

    /// How much memory it has, as Linux counts it.
    pub fn resident_bytes(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.process.child.id())).unwrap();
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|text| text.split_whitespace().next());
        resident.unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Ends it as a crash does: SIGKILL, no chance to do anything.
    pub fn kill(mut self) -> ExitedProcess {
        self.process.child.kill().unwrap();
        let ended = self.process.end();
        assert_eq!(ended.code, None, "it ended before it was killed: {ended:?}");
        ended
    }

    /// Sends it a signal by name, `INT` or `TERM`, and gives what it left behind.
    pub fn stop(self, signal: &str) -> ExitedProcess {
        // The standard library sends no other signal than SIGKILL; every shell can.
        let kill = format!("kill -{signal} {}", self.process.child.id());
        assert!(
            Command::new("sh")
                .args(["-c", &kill])
                .status()
                .unwrap()
                .success(),
            "{kill}"
        );
        self.process.end()
    }
}

/// Runs `tidemark` with these arguments in the working directory `home`; it must end by itself.
pub fn run(home: &Path, arguments: &[&str]) -> ExitedProcess {
    Process::spawn(home, arguments).end()
}

/// Starts a runner that keeps its data in `folder`, and kills it so much later, wherever it is
/// then.
pub fn start_and_kill(folder: &Path, after: Duration) {
    let mut process = Process::spawn(
        folder.parent().unwrap(),
        &["--port", "0", "--data", folder.to_str().unwrap()],
    );
    std::thread::sleep(after);
    process.child.kill().unwrap();
    process.end();
}

/// A token for a user of the tenant `acme`, from the command that a newcomer is told to use.
pub fn token(user: &str) -> String {
    let ended = run(
        &std::env::temp_dir(),
        &["token", "--tenant", "acme", "--user", user],
    );
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (Some(0), ""),
        "{ended:?}"
    );
    ended.stdout.trim_end().to_owned()
}

/// Killed when dropped.
struct Process {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

impl Process {
    fn spawn<S: AsRef<OsStr>>(home: &Path, arguments: &[S]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemark"));
        command
            .args(arguments)
            .current_dir(home)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null());
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdout, stderr) = (
            lines(child.stdout.take().unwrap()),
            lines(child.stderr.take().unwrap()),
        );
        Self {
            child,
            stdout,
            stderr,
        }
    }

    /// Waits for its end. A panic in it fails the test, whatever came of it.
    fn end(mut self) -> ExitedProcess {
        let deadline = Instant::now() + WAIT_MAX;
        let code = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status.code();
            }
            assert!(
                Instant::now() < deadline,
                "the runner did not end within {WAIT_MAX:?}"
            );
            std::thread::sleep(Duration::from_millis(2));
        };
        let ended = ExitedProcess {
            code,
            stdout: self.stdout.iter().collect(),
            stderr: self.stderr.iter().collect(),
        };
        assert!(
            !ended.stderr.contains("panicked"),
            "the runner panicked: {}",
            ended.stderr
        );
        ended
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads a pipe as it is written, so that the child never waits for a reader; ends with the pipe.
fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        loop {
            let mut line = Vec::new();
            match pipe.read_until(b'\n', &mut line) {
                Ok(1..)
                    if sender
                        .send(String::from_utf8_lossy(&line).into_owned())
                        .is_ok() => {}
                _ => return,
            }
        }
    });
    receiver
}
