//! The replacement of temp ids by the ids that the server reports (docs/protocol.md,
//! *The push loop*, §3.1).

use crate::{Client, Edit, ItemResult, PushReport, ResourceId, ResourceName};

impl Client {
    /// Gives the edit, the copy and the queued edits of a temp id the id that the server reported.
    pub(crate) fn adopt_server_id(
        &mut self,
        edit: &mut Edit,
        result: &ItemResult,
        report: &mut PushReport,
    ) {
        let (Some(id), ResourceId::Temp(temp_id)) = (&result.server_id, edit.name.id.clone())
        else {
            return;
        };
        let name = ResourceName {
            id: ResourceId::Server(id.clone()),
            ..edit.name.clone()
        };

        let temp_name = std::mem::replace(&mut edit.name, name.clone());
        if let Some(copy) = self.copies.remove(&temp_name) {
            // A pull may have delivered the resource already.
            let used = copy.used;
            let copy = self.copies.entry(name.clone()).or_insert(copy);
            copy.used = copy.used.max(used);
            copy.temp_id = Some(temp_id);
        }

        self.queue
            .iter_mut()
            .filter(|waiting| waiting.name == temp_name)
            .for_each(|waiting| waiting.name = name.clone());
        let rename = (temp_name, name);
        if !report.renamed.contains(&rename) {
            report.renamed.push(rename);
        }
    }
}
