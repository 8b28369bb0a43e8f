//! Why a thread of the engine ends early.

use crate::delivery::DeliveryError;

/// Why a thread of the engine ends early.
#[derive(Debug)]
pub enum Halt {
    /// Its result is not needed: the job was cancelled, the receiver was dropped, or another thread failed.
    Stopped,
    /// It failed.
    Failed(DeliveryError),
}

impl From<DeliveryError> for Halt {
    fn from(error: DeliveryError) -> Self {
        Self::Failed(error)
    }
}
