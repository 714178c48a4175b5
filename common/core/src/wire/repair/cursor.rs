//! The cursor with which a repair continues.

use crate::{
    model::{
        channel::{Channel, Scope},
        repair::RepairCursor,
    },
    wire::{cursor, problem::Problem},
};

use super::RepairRequest;

impl RepairRequest {
    /// Returns the position at which the repair continues.
    ///
    /// # Errors
    /// Returns a [`Problem`] if the cursor does not come from a repair of the same extent.
    pub fn place(&self) -> Result<Option<RepairCursor>, Problem> {
        let read = |text: &String| {
            let [tenant, channel, sort_key] = cursor::decode(&self.query(), text).ok()?;
            let scope = Scope {
                tenant,
                channel: Channel::parse(&channel)?,
            };
            Some([scope.partition(), sort_key])
        };

        let position = self
            .cursor
            .as_ref()
            .map(|text| read(text).ok_or(cursor::InvalidCursor))
            .transpose();
        position.map_err(|error| Problem::malformed("repair.cursor", error.to_string()))
    }

    /// Returns the cursor that continues after a row, or `None` if the key does not belong to a
    /// resource.
    pub fn cursor_after(&self, [partition, sort_key]: &RepairCursor) -> Option<String> {
        let Scope { tenant, channel } = Scope::parse(partition)?;
        Some(cursor::encode(
            &self.query(),
            [&tenant, &channel.to_string(), sort_key],
        ))
    }

    fn query(&self) -> String {
        let part = |part: &Option<String>| part.clone().unwrap_or_default();
        crate::model::key::join(["repair", &part(&self.tenant), &part(&self.channel)])
    }
}
