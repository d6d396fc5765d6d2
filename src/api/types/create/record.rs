//! `record` of a create request: what is recorded from the answer on.

use super::CreateContext;
use crate::api::types::fields::{Faults, Object};
use crate::api::types::recording::{start, switch};
use crate::call::record::CallType;
use crate::call::recording::RecordStart;

/// Reads it; `None`: nothing is.
pub(super) fn record(
    read: &mut Object<'_>,
    faults: &mut Faults,
    call_type: Option<CallType>,
    context: &CreateContext<'_>,
) -> Option<RecordStart> {
    let mut record = read.object(faults, "record")?;
    if !switch(&mut record, faults, "enabled") {
        // What it would do if it were switched on does not matter.
        return None;
    }
    let start = start(&mut record, faults);
    let refused = match call_type {
        Some(CallType::DynamicStream) | None if context.defaults.recording => None,
        Some(CallType::DynamicStream) | None => {
            Some("this node records nothing: `recording.enabled` of its configuration is off")
        }
        Some(CallType::FixedTts | CallType::FixedAudio | CallType::DynamicAgent) => {
            Some("only calls of type DYNAMIC_STREAM are recorded in this version")
        }
    };
    if let Some(detail) = refused {
        faults.later(record.at("enabled"), detail);
    }
    record.finish(faults, context.strict);
    Some(start)
}
