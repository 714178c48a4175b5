//! Load: devices that push batches without a pause and devices that pull at the same time, until
//! the runner is killed. A device keeps the edits that it sent, acknowledged or not, like the queue
//! of a real device.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::process::{Runner, WAIT_MAX};
use crate::reader::Reader;
use crate::writer::PushingDevice;

/// The time at which the runner is killed.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Number of responses to batches after which the pause begins.
    pub responses_min: usize,
    /// Time from that response to the kill.
    pub pause: Duration,
}

/// Signals between the threads of a load.
#[derive(Default)]
pub struct LoadSignals {
    response_count: AtomicUsize,
    is_over: AtomicBool,
}

impl LoadSignals {
    /// Counts a response to a batch.
    pub fn count(&self) {
        self.response_count.fetch_add(1, Ordering::SeqCst);
    }

    /// Reports a broken connection. Panics unless the runner has been killed.
    pub fn report_disconnect(&self, who: &str, error: &std::io::Error) {
        assert!(
            self.is_over.load(Ordering::SeqCst),
            "{who} was cut off before the kill: {error}"
        );
    }
}

/// Runs the writers and readers until the runner is killed at `moment`.
pub fn run_load<'a>(
    runner: Runner,
    writers: &mut [PushingDevice],
    readers: impl IntoIterator<Item = &'a mut Reader>,
    moment: Moment,
) {
    let (addr, signals) = (runner.addr, LoadSignals::default());
    std::thread::scope(|scope| {
        let signals = &signals;
        for writer in writers {
            scope.spawn(move || writer.push_until_disconnected(addr, signals));
        }
        for reader in readers {
            scope.spawn(move || reader.pull_until_cut_off(addr, signals));
        }

        let deadline = Instant::now() + WAIT_MAX;
        while signals.response_count.load(Ordering::SeqCst) < moment.responses_min {
            assert!(
                Instant::now() < deadline,
                "the load did not reach {moment:?} within {WAIT_MAX:?}"
            );
            std::thread::sleep(Duration::from_millis(1));
        }

        std::thread::sleep(moment.pause);
        signals.is_over.store(true, Ordering::SeqCst);
        runner.kill();
    });
}
