//! What runs did, in numbers.

/// What a run did.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Requests that reached a function.
    pub requests: u64,
    /// Edits that users typed.
    pub edits: u64,
    /// Edits that were answered `ok`, `conflict` and `error`.
    pub responses: [u64; 3],
    /// Pages that were pulled.
    pub pages: u64,
    /// Stream records that were delivered.
    pub records: u64,
    /// Decisions that admins made.
    pub resolutions: u64,
    /// Batches that were replayed.
    pub replays: u64,
    /// Times a channel started over on a device.
    pub resets: u64,
}

impl Counts {
    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        let Self {
            requests,
            edits,
            responses,
            pages,
            records,
            resolutions,
            replays,
            resets,
        } = other;
        self.requests += requests;
        self.edits += edits;
        self.responses
            .iter_mut()
            .zip(responses)
            .for_each(|(sum, more)| *sum += more);
        self.pages += pages;
        self.records += records;
        self.resolutions += resolutions;
        self.replays += replays;
        self.resets += resets;
    }
}
