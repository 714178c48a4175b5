//! What happens in a run, before anything goes wrong: who does what when. A plan follows from its
//! seed; a shrunk one keeps some of its steps.

use std::{collections::BTreeSet, fmt};

use crate::faults::{FAULTS, Fault, rng};

/// Phases of a run; after each, all is brought to rest and judged.
pub const PHASES: u64 = 2;
/// How long a phase's steps take, in milliseconds.
pub const PHASE_MS: u64 = 15_000;

/// What one actor does at one moment.
#[derive(Debug, Clone)]
pub struct Step {
    /// Which; the same in every plan of the seed.
    pub id: u64,
    /// In which phase.
    pub phase: u64,
    /// When, in milliseconds from the begin of the phase.
    pub at_ms: u64,
    /// Who does it.
    pub actor: Actor,
    /// What.
    pub what: What,
}

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Actor {
    /// A device, by its number.
    Phone(usize),
    /// An admin of a tenant, by the tenant's number.
    Admin(usize),
    /// Whoever runs the deployment.
    Operator,
}

/// What somebody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A user types this many edits.
    Type(u64),
    /// A device pushes.
    Push,
    /// A device pulls at most this many pages, of at most this many changes.
    Pull(u32, u64),
    /// A device acknowledges its position, or an older one.
    Ack,
    /// A device is backed up, with everything that it stores.
    Backup,
    /// A device is restored from its backup, or backed up where it has none.
    RestoreDevice,
    /// A second device begins with a copy of what the first stores.
    Clone,
    /// An admin decides a conflict.
    Resolve,
    /// An admin replays a batch.
    Replay,
    /// A user's groups change.
    Groups,
    /// A shard splits.
    Split,
    /// The consumer is down for this many milliseconds.
    Down(u64),
    /// A month passes.
    Month,
    /// The stream forgets what was not delivered.
    Forget,
    /// The log is repaired.
    Repair,
    /// A copy of the tables is taken; at the end of the phase they are restored from it.
    Copy,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}: {:?} {:?}", self.id, self.actor, self.what)
    }
}

/// A run to be made.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What decides everything.
    pub seed: u64,
    /// The steps, in order of their time.
    pub steps: Vec<Step>,
    /// Kinds of faults that are switched off.
    pub without: Vec<Fault>,
    /// What the world looks like.
    pub world: WorldPlan,
}

/// What there is at the start.
#[derive(Debug, Clone)]
pub struct WorldPlan {
    /// Tenant and user of each device.
    pub phones: Vec<(usize, usize)>,
    /// How many resources of a type are asked for by name.
    pub names: u64,
    /// The types that are used.
    pub types: Vec<&'static str>,
    /// Whether users type many edits of few resources.
    pub is_hot: bool,
}

/// Tenants.
pub const TENANTS: [&str; 2] = ["acme", "rival"];
/// Users of a tenant.
pub const USERS: [&str; 2] = ["ana", "ben"];
/// Groups of a tenant.
pub const GROUPS: [&str; 2] = ["north", "south"];

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64) -> Self {
        let mut rng = rng(&[seed, 4]);
        let is_hot = rng.u32(0..100) < 35;
        let phones = (0..rng.usize(2..5))
            .map(|at| (usize::from(at > 0 && rng.u32(0..6) == 0), rng.usize(0..2)))
            .collect::<Vec<_>>();
        let mut types = vec!["meter", "submission", "task", "note", "reading"];
        rng.shuffle(&mut types);
        types.truncate(if is_hot { 1 } else { rng.usize(1..5) });
        let world = WorldPlan {
            names: if is_hot { 1 } else { rng.u64(1..4) },
            types,
            is_hot,
            phones,
        };
        let mut steps = Vec::new();
        for phase in 0..PHASES {
            for _ in 0..rng.u64(10..40) {
                let at_ms = rng.u64(0..PHASE_MS);
                let (actor, what) = action(&world, &mut rng);
                steps.push(Step {
                    id: steps.len() as u64,
                    phase,
                    at_ms,
                    actor,
                    what,
                });
            }
        }
        steps.sort_by_key(|step| (step.phase, step.at_ms));
        Self {
            seed,
            steps,
            without: Vec::new(),
            world,
        }
    }

    /// The same plan with these steps only.
    pub fn only(mut self, keep: &BTreeSet<u64>) -> Self {
        self.steps.retain(|step| keep.contains(&step.id));
        self
    }

    /// The same plan without these kinds of faults.
    pub fn without(self, without: Vec<Fault>) -> Self {
        Self { without, ..self }
    }

    /// The command that makes this run again.
    pub fn command(&self) -> String {
        let mut command = format!(
            "cargo run --release --bin simulate -- --seeds 1 --from {}",
            self.seed
        );
        if self.steps.len() < Self::of(self.seed).steps.len() {
            let mut ids: Vec<u64> = self.steps.iter().map(|step| step.id).collect();
            ids.sort_unstable();
            let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
            command.push_str(&format!(" --only {}", ids.join(",")));
        }
        if !self.without.is_empty() {
            let names: Vec<String> = self.without.iter().map(ToString::to_string).collect();
            command.push_str(&format!(" --without {}", names.join(",")));
        }
        command
    }
}

fn action(world: &WorldPlan, rng: &mut fastrand::Rng) -> (Actor, What) {
    // The number behind the last is that of the first device's clone.
    let phone = Actor::Phone(rng.usize(0..=world.phones.len()));
    let admin = Actor::Admin(usize::from(rng.u32(0..5) == 0));
    match rng.u32(0..100) {
        0..30 => (
            phone,
            What::Type(if world.is_hot {
                rng.u64(1..20)
            } else {
                rng.u64(1..5)
            }),
        ),
        30..32 => (phone, What::Backup),
        32..36 => (phone, What::RestoreDevice),
        36..38 => (Actor::Phone(0), What::Clone),
        38..60 => (phone, What::Push),
        60..78 => (
            phone,
            What::Pull(rng.u32(1..6), if rng.bool() { rng.u64(1..5) } else { 100 }),
        ),
        78..83 => (phone, What::Ack),
        83..90 => (admin, What::Resolve),
        90..92 => (admin, What::Replay),
        92..94 => (Actor::Operator, What::Groups),
        94..95 => (Actor::Operator, What::Split),
        95..97 => (Actor::Operator, What::Down(rng.u64(1_000..8_000))),
        97..98 => (Actor::Operator, What::Month),
        98..99 => (
            Actor::Operator,
            [What::Forget, What::Repair][rng.usize(0..2)],
        ),
        _ => (Actor::Operator, What::Copy),
    }
}

/// A kind of fault by its name.
pub fn fault(name: &str) -> Option<Fault> {
    FAULTS
        .iter()
        .copied()
        .find(|fault| fault.to_string() == name)
}
