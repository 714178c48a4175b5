//! The plan of a run: which actor does what at which time, before faults are injected. A plan is
//! derived from its seed; a shrunk plan keeps a subset of the steps.

use std::{collections::BTreeSet, fmt};

use crate::faults::{FAULTS, Fault, rng};

/// Number of phases of a run. After each phase the system is brought to rest and the oracle checks
/// it.
pub const PHASES: u64 = 2;
/// Duration of the steps of a phase in milliseconds.
pub const PHASE_MS: u64 = 15_000;

/// One action of one actor at one time.
#[derive(Debug, Clone)]
pub struct Step {
    /// Identifies the step in every plan of the seed, shrunk plans included.
    pub id: u64,
    /// The phase that contains the step.
    pub phase: u64,
    /// Time of the step in milliseconds since the start of the phase.
    pub at_ms: u64,
    /// The actor that performs the step.
    pub actor: Actor,
    /// The action that the actor performs.
    pub action: StepAction,
}

/// An actor of the simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Actor {
    /// A device, by its index.
    Phone(usize),
    /// An admin, by the index of the tenant.
    Admin(usize),
    /// The operator of the deployment.
    Operator,
}

/// An action of an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepAction {
    /// A user makes this many edits.
    Type(u64),
    /// A device pushes its queued edits.
    Push,
    /// A device pulls at most this many pages with at most this many changes each.
    Pull(u32, u64),
    /// A device acknowledges its current sync token or an older one.
    Ack,
    /// A device is backed up with everything that it stores.
    Backup,
    /// A device is restored from its backup, or backed up if it has no backup.
    RestoreDevice,
    /// A second device starts with a copy of everything that the first device stores.
    Clone,
    /// An admin resolves a conflict.
    Resolve,
    /// An admin replays a batch.
    Replay,
    /// The groups of a user change.
    Groups,
    /// A shard of the stream splits.
    Split,
    /// The stream consumers are down for this many milliseconds.
    Down(u64),
    /// A month passes in virtual time.
    Month,
    /// The stream expires the records that were not delivered.
    Forget,
    /// An operator repairs the change log.
    Repair,
    /// The tables are copied. They are restored from the copy before the next phase.
    Copy,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}: {:?} {:?}", self.id, self.actor, self.action)
    }
}

/// The plan of one run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The seed that determines the run.
    pub seed: u64,
    /// The steps in chronological order.
    pub steps: Vec<Step>,
    /// Kinds of faults that are disabled.
    pub without: Vec<Fault>,
    /// The initial devices, types and names.
    pub world: WorldPlan,
}

/// The initial state: devices, resource types and names.
#[derive(Debug, Clone)]
pub struct WorldPlan {
    /// The tenant and the user of each device, by index.
    pub phones: Vec<(usize, usize)>,
    /// The number of ids per resource type that creates may request.
    pub names: u64,
    /// The resource types that users edit.
    pub types: Vec<&'static str>,
    /// Whether users make many edits of few resources.
    pub is_hot: bool,
}

/// The names of the tenants, by index.
pub const TENANTS: [&str; 2] = ["acme", "rival"];
/// The names of the users of each tenant, by index.
pub const USERS: [&str; 2] = ["ana", "ben"];
/// The names of the groups of each tenant, by index.
pub const GROUPS: [&str; 2] = ["north", "south"];

impl Plan {
    /// Returns the plan of a seed.
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
                let (actor, action) = random_step(&world, &mut rng);
                steps.push(Step {
                    id: steps.len() as u64,
                    phase,
                    at_ms,
                    actor,
                    action,
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

    /// Returns the plan restricted to the steps with these ids.
    pub fn only(mut self, keep: &BTreeSet<u64>) -> Self {
        self.steps.retain(|step| keep.contains(&step.id));
        self
    }

    /// Returns the plan with these kinds of faults disabled.
    pub fn without(self, without: Vec<Fault>) -> Self {
        Self { without, ..self }
    }

    /// Returns the command that repeats this run.
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

fn random_step(world: &WorldPlan, rng: &mut fastrand::Rng) -> (Actor, StepAction) {
    // The last index is that of the first device's clone.
    let phone = Actor::Phone(rng.usize(0..=world.phones.len()));
    let admin = Actor::Admin(usize::from(rng.u32(0..5) == 0));

    match rng.u32(0..100) {
        0..30 => (
            phone,
            StepAction::Type(if world.is_hot {
                rng.u64(1..20)
            } else {
                rng.u64(1..5)
            }),
        ),
        30..32 => (phone, StepAction::Backup),
        32..36 => (phone, StepAction::RestoreDevice),
        36..38 => (Actor::Phone(0), StepAction::Clone),
        38..60 => (phone, StepAction::Push),
        60..78 => (
            phone,
            StepAction::Pull(rng.u32(1..6), if rng.bool() { rng.u64(1..5) } else { 100 }),
        ),
        78..83 => (phone, StepAction::Ack),
        83..90 => (admin, StepAction::Resolve),
        90..92 => (admin, StepAction::Replay),
        92..94 => (Actor::Operator, StepAction::Groups),
        94..95 => (Actor::Operator, StepAction::Split),
        95..97 => (Actor::Operator, StepAction::Down(rng.u64(1_000..8_000))),
        97..98 => (Actor::Operator, StepAction::Month),
        98..99 => (
            Actor::Operator,
            [StepAction::Forget, StepAction::Repair][rng.usize(0..2)],
        ),
        _ => (Actor::Operator, StepAction::Copy),
    }
}

/// Returns the kind of fault with this name.
pub fn fault(name: &str) -> Option<Fault> {
    FAULTS
        .iter()
        .copied()
        .find(|fault| fault.to_string() == name)
}
