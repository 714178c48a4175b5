//! Statistics of simulation runs.

/// The amount of work that one or more runs did.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Requests that reached a function.
    pub requests: u64,
    /// Edits that users made.
    pub edits: u64,
    /// Edits whose result was `ok`, `conflict` or `error`, in this order.
    pub responses: [u64; 3],
    /// Pages that devices pulled.
    pub pages: u64,
    /// Stream records that the changelog function processed.
    pub records: u64,
    /// Conflicts that admins resolved.
    pub resolutions: u64,
    /// Batches that admins replayed.
    pub replays: u64,
    /// Times a channel was reset on a device.
    pub resets: u64,
}

impl Counts {
    /// Adds the counts of another run.
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
