//! A storm: devices that push batches as fast as they are answered, and devices that pull all the
//! while, until the runner is killed under them. What a device sent stays with it, answered or not,
//! as a real one keeps its queue.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::process::{Runner, WAIT_MAX};
use crate::reader::Reader;
use crate::writer::Writer;

/// When the runner is killed.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Once so many batches of the storm were answered.
    pub responses_min: usize,
    /// And so much later.
    pub pause: Duration,
}

/// What the threads of a storm tell each other.
#[derive(Default)]
pub struct LoadSignals {
    answered: AtomicUsize,
    is_over: AtomicBool,
}

impl LoadSignals {
    /// A batch was answered.
    pub fn count(&self) {
        self.answered.fetch_add(1, Ordering::SeqCst);
    }

    /// A connection broke, which only the kill may do.
    pub fn broke(&self, who: &str, error: &std::io::Error) {
        assert!(
            self.is_over.load(Ordering::SeqCst),
            "{who} was cut off before the kill: {error}"
        );
    }
}

/// Lets the writers push and the readers pull until the runner is killed at that moment.
pub fn rage<'a>(
    runner: Runner,
    writers: &mut [Writer],
    readers: impl IntoIterator<Item = &'a mut Reader>,
    moment: Moment,
) {
    let (addr, faults) = (runner.addr, LoadSignals::default());
    std::thread::scope(|scope| {
        let faults = &faults;
        for writer in writers {
            scope.spawn(move || writer.push_until_cut_off(addr, faults));
        }
        for reader in readers {
            scope.spawn(move || reader.pull_until_cut_off(addr, faults));
        }
        let deadline = Instant::now() + WAIT_MAX;
        while faults.answered.load(Ordering::SeqCst) < moment.responses_min {
            assert!(
                Instant::now() < deadline,
                "the storm did not reach {moment:?} within {WAIT_MAX:?}"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(moment.pause);
        faults.is_over.store(true, Ordering::SeqCst);
        runner.kill();
    });
}

/// Numbers that look random and follow from a seed (SplitMix64).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A sequence of its own for each seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }
}
