//! The pulls of a device.

use std::{collections::BTreeSet, rc::Rc, time::Duration};

use tidemark_client::PullResponse;
use tidemark_core::model::token::Token;
use tokio::time::sleep;

use super::{Phone, TRIES_MAX};
use crate::world::World;

impl Phone {
    /// Pulls at most `pages` pages. Returns whether there are no more changes.
    pub(super) async fn pull(
        &mut self,
        world: &Rc<World>,
        pages: u32,
        limit: usize,
        rng: &mut fastrand::Rng,
    ) -> bool {
        for _ in 0..pages {
            match self.pull_page(world, limit, rng).await {
                Some(true) => {}
                Some(false) => return true,
                None => return false,
            }
        }
        false
    }

    /// Pulls a page, applies it, and checks what the device holds then. Returns whether there are
    /// more changes, or `None` if no page arrived.
    async fn pull_page(
        &mut self,
        world: &Rc<World>,
        limit: usize,
        rng: &mut fastrand::Rng,
    ) -> Option<bool> {
        let channels = world.channels(self.tenant, self.user);
        world.read_stream();
        let due = world.oracle.borrow().due();
        let body = self.client.pull_request(limit);
        let response = self.post(world, "sync/pull", &body, rng).await?;
        if response.status != 200 {
            self.check_rejection(world, "pull", &response);
            return None;
        }

        let page: PullResponse = response.read();
        let has_more = page.has_more;
        world.read_stream();
        world.counts.borrow_mut().pages += 1;
        self.check_resets(world, &page);
        self.apply(page, rng);

        // The check does not apply if the user's groups have changed since the request.
        if channels == world.channels(self.tenant, self.user) {
            let owner = self.owner();
            let mut oracle = world.oracle.borrow_mut();
            oracle.holds(&owner, &self.client, &channels);
            if !has_more {
                oracle.pulled(&due, &owner, &self.client, &channels);
            }
        }
        Some(has_more)
    }

    /// Checks that a page resets a channel that the device has pulled before only if that is
    /// expected in this phase.
    fn check_resets(&self, world: &World, page: &PullResponse) {
        let known = channels_of(self.client.sync_token());
        let over: Vec<&String> = page
            .reset
            .iter()
            .filter(|channel| known.contains(*channel))
            .collect();

        if !over.is_empty() && !world.may_reset.get() {
            let what = format!(
                "{:?} has to reset {over:?}, although nothing was lost",
                self.owner()
            );
            world.oracle.borrow_mut().violated(2, what);
        }
        world.counts.borrow_mut().resets += over.len() as u64;
    }

    /// Applies a page. Sometimes remembers the sync token before it, to acknowledge it later.
    fn apply(&mut self, page: PullResponse, rng: &mut fastrand::Rng) {
        self.old_position = self
            .client
            .sync_token()
            .filter(|_| rng.bool())
            .map(str::to_owned)
            .or(self.old_position.take());

        self.undone.retain(|channel| !page.reset.contains(channel));
        self.client.apply_page(page);
        if let Some((groups, _)) = &self.jwt {
            self.client.retain_groups(groups);
        }
    }

    /// Pulls until there are no more changes.
    pub async fn finish_pulling(&mut self, world: &Rc<World>, rng: &mut fastrand::Rng) {
        for _ in 0..TRIES_MAX * 10 {
            if world.is_over() || self.pull(world, 1, 100, rng).await {
                return;
            }
            sleep(Duration::from_millis(300)).await;
        }
        let what = format!("the pulls of {:?} do not end", self.owner());
        world.oracle.borrow_mut().violated(2, what);
    }
}

/// Returns the channels in which a sync token has a position.
fn channels_of(token: Option<&str>) -> BTreeSet<String> {
    let token = token
        .map(|token| Token::decode(token).unwrap())
        .unwrap_or_default();
    token.channels.keys().map(ToString::to_string).collect()
}
