//! The fault profile of a seed: which kinds of faults are injected, and at which rates. Most kinds
//! are off in most seeds, because faults of all kinds together mask each other.

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
        /// A kind of fault that the simulation injects.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $($(#[$doc])* $name,)+
        }

        /// All kinds of faults, in the order of their discriminants.
        pub const FAULTS: &[Fault] = &[$(Fault::$name),+];

        impl fmt::Display for Fault {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $(Self::$name => $text),+ })
            }
        }
    };
}

faults! {
    /// A call of a function is lost before it takes effect.
    LostCall = "lost-call",
    /// A call of a function takes effect, but its response is lost.
    LostReply = "lost-answer",
    /// DynamoDB throttles a call of a function.
    Throttle = "throttle",
    /// DynamoDB responds with status 500.
    InternalError = "internal-error",
    /// A write fails because of a concurrent transaction.
    TransactionConflict = "transaction-conflict",
    /// DynamoDB processes only some items of a batch read or write.
    PartialBatch = "partial-batch",
    /// An eventually consistent read returns an earlier state of the rows.
    StaleRead = "stale-read",
    /// The response to a call is delayed by up to nine seconds.
    SlowResponse = "slow-answer",
    /// The function dies before or after a call.
    Kill = "kill",
    /// A request never reaches its function.
    LostRequest = "lost-request",
    /// The response of a function never reaches the caller.
    LostResponse = "lost-response",
    /// A request is delivered twice at the same time.
    RepeatedRequest = "repeated-request",
    /// A request is delivered a second time, up to 20 seconds later.
    LateRequest = "late-request",
    /// A device sends the edits of a batch without a response in another batch, without the
    /// previous `batch_id`.
    Rebatched = "rebatched",
    /// Stream records are delivered more than once.
    RepeatedRecords = "repeated-records",
    /// The records of one shard are delayed while other shards continue.
    DelayedRecords = "delayed-records",
    /// A shard splits into two child shards.
    ShardSplit = "shard-split",
    /// No stream record is delivered for up to eight seconds.
    ConsumerDown = "consumer-down",
    /// A stream batch contains a record that cannot be decoded.
    PoisonRecord = "poison-record",
    /// The clock of a function is wrong by up to 20 seconds.
    WrongClock = "wrong-clock",
    /// The JWT of a device has expired.
    ExpiredToken = "expired-token",
    /// A user joins or leaves a group.
    GroupChange = "group-change",
    /// A month passes, and entries of the change log expire.
    Retention = "retention",
    /// No stream record is delivered for more than a day, so that the records expire.
    LongOutage = "long-outage",
    /// The tables are restored from an older copy.
    Restore = "restore",
    /// An app is killed after a push whose response was lost, and pulls before it retries the push.
    Restarted = "restarted",
    /// A device is restored from a backup of everything that it stores.
    RestoredDevice = "restored-device",
    /// A second device continues with a copy of everything that another device stores, its device
    /// id included.
    ClonedDevice = "cloned-device",
}

impl Fault {
    /// Returns the factor by which the rate of this fault exceeds the rate of faults that any call
    /// may have: eventually consistent reads and record batches are rarer than calls.
    fn weight(self) -> u32 {
        match self {
            Self::StaleRead => 6,
            Self::RepeatedRecords | Self::DelayedRecords => 3,
            Self::LostRequest | Self::LostResponse | Self::RepeatedRequest | Self::LateRequest => 2,
            _ => 1,
        }
    }
}

/// The rates of all kinds of faults, and whether faults are suspended.
#[derive(Debug)]
pub struct FaultProfile {
    /// Injections per thousand opportunities, by kind.
    rates: Vec<u32>,
    struck: Vec<AtomicU64>,
    is_calm: AtomicBool,
}

impl FaultProfile {
    /// Returns the fault profile of a seed, with the kinds in `without` disabled.
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

    /// Draws from the generator whether the fault is injected now, and counts it if so.
    pub fn strikes(&self, fault: Fault, rng: &mut fastrand::Rng) -> bool {
        let strikes = self.is_on(fault) && rng.u32(0..1000) < self.rates[fault as usize];
        if strikes {
            self.count(fault);
        }
        strikes
    }

    /// Returns whether the fault is enabled in this seed and faults are not suspended.
    pub fn is_on(&self, fault: Fault) -> bool {
        self.rates[fault as usize] > 0 && !self.is_calm.load(Ordering::Relaxed)
    }

    /// Counts one injection of the fault.
    pub fn count(&self, fault: Fault) {
        self.struck[fault as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Suspends all faults, or resumes them.
    pub fn calm(&self, is_calm: bool) {
        self.is_calm.store(is_calm, Ordering::Relaxed);
    }

    /// Returns the number of injections of each fault, in the order of [`FAULTS`].
    pub fn struck(&self) -> Vec<u64> {
        self.struck
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .collect()
    }
}

tokio::task_local! {
    /// The invocation that the current task executes.
    pub static INVOCATION: Arc<Invocation>;
}

/// One invocation of a function, which determines the faults of its calls.
#[derive(Debug)]
pub struct Invocation {
    faults: Arc<FaultProfile>,
    rng: Mutex<fastrand::Rng>,
    dying: Notify,
    /// The offset of the function's clock from the correct time.
    pub skew: chrono::Duration,
}

impl Invocation {
    /// Creates an invocation whose faults are drawn from this generator.
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

    /// Runs a function to completion. Returns `None` if the function dies.
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

    /// Draws whether the fault is injected into the current call.
    pub fn strikes(&self, fault: Fault) -> bool {
        self.faults.strikes(fault, &mut self.rng.lock().unwrap())
    }

    /// Returns a random number below `bound`.
    pub fn below(&self, bound: u64) -> u64 {
        self.rng.lock().unwrap().u64(0..bound)
    }

    /// Returns a random duration between two numbers of milliseconds.
    pub fn wait(&self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }

    /// Ends the invocation: [`Self::run`] drops the function and returns `None`.
    pub async fn die(&self) -> ! {
        self.dying.notify_one();
        std::future::pending().await
    }
}

/// Returns a generator that is seeded with these words.
pub fn rng(words: &[u64]) -> fastrand::Rng {
    let mixed = words.iter().fold(0x9E37_79B9_7F4A_7C15_u64, |state, word| {
        let mut mixed = (state ^ word).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed ^= mixed >> 29;
        mixed = mixed.wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 32)
    });
    fastrand::Rng::with_seed(mixed)
}
