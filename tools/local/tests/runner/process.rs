//! The built runner as a child process: started on a free port, with both outputs captured, and
//! killed when a test ends for any reason. Every wait has a limit.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::client::Client;

/// Longest wait of any operation here: long enough for a busy machine, short enough for a person.
pub const WAIT_MAX: Duration = Duration::from_secs(20);

/// Returns a lock for tests that need the machine alone, because they measure time or create load.
pub fn one_at_a_time() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::new(());
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process that has ended.
#[derive(Debug)]
pub struct ExitedProcess {
    /// Exit code; `None` if a signal ended the process.
    pub code: Option<i32>,
    /// Captured output on stdout.
    pub stdout: String,
    /// Captured output on stderr.
    pub stderr: String,
}

/// A runner that accepts connections.
pub struct Runner {
    process: Process,
    /// Address on which it listens.
    pub addr: SocketAddr,
}

impl Runner {
    /// Starts a runner on a free port that stores its data in `folder`.
    pub fn on(folder: &Path) -> Self {
        Self::start(
            folder.parent().unwrap(),
            &["--data", folder.to_str().unwrap()],
        )
    }

    /// Starts a runner on a free port with these further arguments, in the working directory
    /// `home`.
    pub fn start(home: &Path, arguments: &[&str]) -> Self {
        Self::listening(
            home,
            &[&["--port", "0"], arguments].concat(),
            "tidemark is listening on http://",
        )
    }

    /// Starts the embedded DynamoDB alone on a free port, in the working directory `home`.
    pub fn dynamodb(home: &Path, arguments: &[&str]) -> Self {
        Self::listening(
            home,
            &[&["dynamodb", "--port", "0"], arguments].concat(),
            "DynamoDB is listening on http://",
        )
    }

    fn listening(home: &Path, arguments: &[&str], prefix: &str) -> Self {
        let process = Process::spawn(home, arguments);
        let Ok(line) = process.stdout.recv_timeout(WAIT_MAX) else {
            panic!("the runner did not print its address: {:?}", process.end());
        };
        let addr = line
            .strip_prefix(prefix)
            .and_then(|addr| addr.trim_end().parse().ok());
        let addr = addr.unwrap_or_else(|| panic!("the line contains no address: {line:?}"));
        Self { process, addr }
    }

    /// Returns a new connection to the runner.
    pub fn client(&self) -> Client {
        Client::connect(self.addr).expect("a runner that listens accepts a connection")
    }

    /// Returns the resident memory in bytes, as Linux reports it.
    pub fn resident_bytes(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.process.child.id())).unwrap();
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|text| text.split_whitespace().next());
        resident.unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Kills the runner with SIGKILL, which has the effect of a crash.
    pub fn kill(mut self) -> ExitedProcess {
        self.process.child.kill().unwrap();
        let ended = self.process.end();
        assert_eq!(ended.code, None, "it ended before it was killed: {ended:?}");
        ended
    }

    /// Sends a signal by name, `INT` or `TERM`, and returns the exited process.
    pub fn stop(self, signal: &str) -> ExitedProcess {
        // The standard library can send only SIGKILL; a shell can send any signal.
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

/// Runs `tidemark` with these arguments in the working directory `home` until it ends by itself.
pub fn run(home: &Path, arguments: &[&str]) -> ExitedProcess {
    Process::spawn(home, arguments).end()
}

/// Starts a runner that stores its data in `folder`, and kills it after this time in any state.
pub fn start_and_kill(folder: &Path, after: Duration) {
    let mut process = Process::spawn(
        folder.parent().unwrap(),
        &["--port", "0", "--data", folder.to_str().unwrap()],
    );
    std::thread::sleep(after);
    process.child.kill().unwrap();
    process.end();
}

/// Returns a token for a user of the tenant `acme`, from the command that newcomers use.
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

/// A child process that is killed when it is dropped.
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

    /// Waits for the end of the process. A panic in it fails the test.
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
        // The process may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the lines of a pipe. A thread reads them until the pipe ends, so that the child never
/// waits for a reader.
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
