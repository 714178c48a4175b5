//! The requests of a device, with the JWT of its user, and acknowledgements.

use std::rc::Rc;

use serde_json::json;

use super::Phone;
use crate::{
    cloud::{ApiResponse, Request},
    faults::Fault,
    plan::{TENANTS, USERS},
    world::World,
};

impl Phone {
    /// Acknowledges everything that the device has pulled.
    pub async fn ack_all(&mut self, world: &Rc<World>, rng: &mut fastrand::Rng) {
        self.old_position = self.client.sync_token().map(str::to_owned);
        self.ack(world, rng).await;
    }

    /// Acknowledges the current sync token or an older one.
    pub(super) async fn ack(&mut self, world: &Rc<World>, rng: &mut fastrand::Rng) {
        let position = if rng.u32(0..3) == 0 {
            self.old_position.clone()
        } else {
            self.client.sync_token().map(str::to_owned)
        };
        let Some(position) = position else { return };

        let body = json!({"ack_token": position, "device_id": self.client.device_id()}).to_string();
        let response = self.post(world, "sync/ack", &body, rng).await;
        if let Some(response) = response.filter(|response| response.status != 200) {
            self.check_rejection(world, "ack", &response);
        }

        let devices = world.cloud.rows("devices");
        world.oracle.borrow_mut().acknowledged(&devices);
    }

    /// Checks a rejected response: the device retries after the expected statuses, and any other
    /// status violates invariant 6.
    pub(super) fn check_rejection(&mut self, world: &World, what: &str, response: &ApiResponse) {
        match response.status {
            401 => self.jwt = None,
            502 | 503 => {}
            _ => world.oracle.borrow_mut().violated(
                6,
                format!(
                    "a {what} of {:?} was rejected: {}",
                    self.owner(),
                    response.text
                ),
            ),
        }
    }

    /// Sends a request with the JWT of the user, which is renewed if the user's groups have
    /// changed. Returns `None` if no response arrives.
    pub(super) async fn post(
        &mut self,
        world: &Rc<World>,
        path: &str,
        body: &str,
        rng: &mut fastrand::Rng,
    ) -> Option<ApiResponse> {
        let groups = world.groups.borrow()[&(self.tenant, self.user)].clone();
        let is_expired = world.cloud.faults.strikes(Fault::ExpiredToken, rng);

        let token = match &self.jwt {
            _ if is_expired => "expired".to_owned(),
            Some((of, token)) if *of == groups => token.clone(),
            _ => {
                let token = world
                    .cloud
                    .token(TENANTS[self.tenant], USERS[self.user], &[], &groups);
                self.jwt.insert((groups, token)).1.clone()
            }
        };

        let request = Request {
            method: "POST",
            path: path.to_owned(),
            token,
            body: body.to_owned(),
        };
        world.ask(request, rng).await
    }
}
