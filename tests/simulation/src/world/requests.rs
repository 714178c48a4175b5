//! Requests of devices and admins, the faults between a caller and the API, and their lines in the
//! trace.

mod trace;

use std::{rc::Rc, time::Duration};

use tokio::time::sleep;

use super::World;
use crate::{
    cloud::{ApiResponse, Request},
    faults::{Fault, Invocation},
};

use trace::{noted, shown};

impl World {
    /// Sends a request. Returns `None` if no response arrives.
    pub async fn ask(
        self: &Rc<Self>,
        request: Request,
        rng: &mut fastrand::Rng,
    ) -> Option<ApiResponse> {
        let faults = &self.cloud.faults;
        if faults.strikes(Fault::LostRequest, rng) {
            return None;
        }

        let note_doubled = || {
            if request.path == "sync/push" {
                self.oracle.borrow_mut().doubled(&request.body);
            }
        };

        if faults.strikes(Fault::LateRequest, rng) {
            note_doubled();
            let (world, request, mut rng) = (Rc::clone(self), request.clone(), rng.fork());
            let late = async move {
                sleep(Duration::from_millis(rng.u64(500..20_000))).await;
                world.note(|| format!("late: {} {}", request.method, noted(&request.path)));
                world.serve(&request, &mut rng).await;
            };
            self.late.borrow_mut().push(tokio::task::spawn_local(late));
        }

        // A push without `batch_id` is not doubled: its two responses may differ, and the device
        // receives only one.
        let is_named = request.path != "sync/push" || request.body.contains("\"batch_id\"");
        let response = if is_named && faults.strikes(Fault::RepeatedRequest, rng) {
            note_doubled();
            let mut other = rng.fork();
            let (first, _) =
                tokio::join!(self.serve(&request, rng), self.serve(&request, &mut other));
            first
        } else {
            self.serve(&request, rng).await
        };
        response.filter(|_| !faults.strikes(Fault::LostResponse, rng))
    }

    async fn serve(&self, request: &Request, rng: &mut fastrand::Rng) -> Option<ApiResponse> {
        self.counts.borrow_mut().requests += 1;
        let invocation = Invocation::new(&self.cloud.faults, rng.fork());
        let response = self.cloud.serve(invocation, request).await;
        let (method, path) = (request.method, &request.path);

        match response {
            Err(panic) => {
                self.oracle.borrow_mut().violated(6, panic);
                None
            }
            Ok(response) if response.status == 500 => {
                self.oracle.borrow_mut().violated(
                    6,
                    format!("{method} {path} returned 500: {}", response.text),
                );
                None
            }
            Ok(response) => {
                self.note(|| {
                    format!(
                        "        {method} {} → {} {}",
                        noted(path),
                        response.status,
                        shown(&response.text)
                    )
                });
                Some(response)
            }
        }
    }
}
