//! What goes wrong, and how often. Each seed has a weather of its own: most kinds of faults are
//! switched off in most seeds, because faults of every kind at once hide each other.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)+) => {
        /// A kind of fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $($(#[$doc])* $name,)+
        }

        /// Every kind.
        pub const FAULTS: &[Fault] = &[$(Fault::$name),+];

        impl fmt::Display for Fault {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $(Self::$name => $text),+ })
            }
        }
    };
}

faults! {
    /// A call of a function never reaches its table.
    LostCall = "lost-call",
    /// A call takes effect, and its answer is lost.
    LostReply = "lost-answer",
    /// A call is throttled.
    Throttle = "throttle",
    /// The table answers 500.
    InternalError = "internal-error",
    /// A write meets somebody's transaction.
    TransactionConflict = "transaction-conflict",
    /// Of a batch of reads or writes the table does only some.
    PartialBatch = "partial-batch",
    /// A read that need not be consistent shows rows as they were.
    StaleRead = "stale-read",
    /// A call takes up to nine seconds.
    SlowResponse = "slow-answer",
    /// The function dies before or after a call.
    Kill = "kill",
    /// A request never reaches its function.
    LostRequest = "lost-request",
    /// A function's answer never reaches the device.
    LostResponse = "lost-response",
    /// A request arrives twice at the same time.
    RepeatedRequest = "repeated-request",
    /// A request arrives once more, much later.
    LateRequest = "late-request",
    /// A device sends its unanswered edits in another batch, without its old batch id.
    Rebatched = "rebatched",
    /// Stream records are delivered again.
    RepeatedRecords = "repeated-records",
    /// A shard's records wait while others' go on.
    DelayedRecords = "delayed-records",
    /// A shard is split in two.
    ShardSplit = "shard-split",
    /// No stream record is delivered for a while.
    ConsumerDown = "consumer-down",
    /// A record that nobody can read stands in a batch.
    PoisonRecord = "poison-record",
    /// A function's clock is wrong, by up to twenty seconds.
    WrongClock = "wrong-clock",
    /// A device's JWT has expired.
    ExpiredToken = "expired-token",
    /// A user joins or leaves a group.
    GroupChange = "group-change",
    /// A month passes, and the log forgets.
    Retention = "retention",
    /// No stream record is delivered for more than a day: the stream forgets them.
    LongOutage = "long-outage",
    /// The tables are restored from an older copy.
    Restore = "restore",
    /// An app is killed between a push without an answer and its repetition, and pulls first when
    /// it starts again.
    Restarted = "restarted",
    /// A device is restored from a backup of everything that it stores.
    RestoredDevice = "restored-device",
    /// A second device goes on with a copy of everything that another one stores, its id included.
    ClonedDevice = "cloned-device",
}

impl Fault {
    /// How much more often it strikes than one that any call may meet: there are fewer such reads,
    /// and batches of records, than calls.
    fn weight(self) -> u32 {
        match self {
            Self::StaleRead => 6,
            Self::RepeatedRecords | Self::DelayedRecords => 3,
            Self::LostRequest | Self::LostResponse | Self::RepeatedRequest | Self::LateRequest => 2,
            _ => 1,
        }
    }
}

/// Calm, or how often which fault strikes.
#[derive(Debug)]
pub struct FaultProfile {
    /// In a thousand.
    rates: Vec<u32>,
    struck: Vec<AtomicU64>,
    is_calm: AtomicBool,
}

impl FaultProfile {
    /// The weather of a seed, without the kinds of `without`.
    pub fn of(seed: u64, without: &[Fault]) -> Self {
        let mut rng = rng(&[seed, 1]);
        let rate = |fault: &Fault| {
            let is_on = rng.u32(0..100) < 40;
            let rate = [8, 30, 100][rng.usize(0..3)] * fault.weight();
            if is_on && !without.contains(fault) {
                rate
            } else {
                0
            }
        };
        let rates = FAULTS.iter().map(rate).collect();
        Self {
            rates,
            struck: FAULTS.iter().map(|_| AtomicU64::new(0)).collect(),
            is_calm: AtomicBool::new(false),
        }
    }

    /// Whether the fault strikes now, by this generator.
    pub fn strikes(&self, fault: Fault, rng: &mut fastrand::Rng) -> bool {
        let strikes = self.is_on(fault) && rng.u32(0..1000) < self.rates[fault as usize];
        if strikes {
            self.count(fault);
        }
        strikes
    }

    /// Whether the fault may strike in this seed, and now.
    pub fn is_on(&self, fault: Fault) -> bool {
        self.rates[fault as usize] > 0 && !self.is_calm.load(Ordering::Relaxed)
    }

    /// Notes that the fault struck.
    pub fn count(&self, fault: Fault) {
        self.struck[fault as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Ends all faults, or lets them begin again.
    pub fn calm(&self, is_calm: bool) {
        self.is_calm.store(is_calm, Ordering::Relaxed);
    }

    /// How often each fault struck, in the order of [`FAULTS`].
    pub fn struck(&self) -> Vec<u64> {
        self.struck
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .collect()
    }
}

tokio::task_local! {
    /// The invocation that is running.
    pub static INVOCATION: Arc<Invocation>;
}

/// One run of a function: what strikes its calls.
#[derive(Debug)]
pub struct Invocation {
    faults: Arc<FaultProfile>,
    rng: Mutex<fastrand::Rng>,
    dying: Notify,
    /// How wrong its clock is.
    pub skew: chrono::Duration,
}

impl Invocation {
    /// An invocation whose faults this generator decides.
    pub fn new(faults: &Arc<FaultProfile>, mut rng: fastrand::Rng) -> Arc<Self> {
        let skew = if faults.strikes(Fault::WrongClock, &mut rng) {
            rng.i64(-20_000..20_000)
        } else {
            0
        };
        let skew = chrono::Duration::milliseconds(skew);
        Arc::new(Self {
            faults: Arc::clone(faults),
            rng: Mutex::new(rng),
            dying: Notify::new(),
            skew,
        })
    }

    /// Runs a function to its end, or until it dies.
    pub async fn run<T>(self: Arc<Self>, function: impl Future<Output = T>) -> Option<T> {
        let invocation = Arc::clone(&self);
        INVOCATION
            .scope(invocation, async {
                tokio::select! {
                    biased;
                    () = self.dying.notified() => None,
                    response = function => Some(response),
                }
            })
            .await
    }

    /// Whether the fault strikes here.
    pub fn strikes(&self, fault: Fault) -> bool {
        self.faults.strikes(fault, &mut self.rng.lock().unwrap())
    }

    /// A number below `bound`.
    pub fn below(&self, bound: u64) -> u64 {
        self.rng.lock().unwrap().u64(0..bound)
    }

    /// A time between two numbers of milliseconds.
    pub fn wait(&self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }

    /// Dies: nothing of the function goes on.
    pub async fn die(&self) -> ! {
        self.dying.notify_one();
        std::future::pending().await
    }
}

/// A generator that these words decide.
pub fn rng(words: &[u64]) -> fastrand::Rng {
    let mixed = words.iter().fold(0x9E37_79B9_7F4A_7C15_u64, |state, word| {
        let mut mixed = (state ^ word).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed ^= mixed >> 29;
        mixed = mixed.wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 32)
    });
    fastrand::Rng::with_seed(mixed)
}
