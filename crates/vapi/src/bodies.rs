//! Reading requests' bodies: a limit for each and one for all that are in memory.
//!
//! Guarantees: nothing is reserved on the word of `Content-Length`; what a body holds of the common room is given back
//! when its request has been answered.

use std::sync::Arc;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{error::ApiError, limits};

/// The unit of the common room, in bytes.
const UNIT: usize = 64 * 1024;

/// The common room.
pub(crate) struct Bodies(Arc<Semaphore>);

impl Default for Bodies {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(limits::MAX_BODIES / UNIT)))
    }
}

/// A body with its part of the room.
pub(crate) struct Read {
    pub(crate) bytes: Bytes,
    pub(crate) room: Option<OwnedSemaphorePermit>,
}

impl Bodies {
    /// Reads a body of at most `limit` bytes.
    pub(crate) async fn read(&self, mut body: Body, limit: usize) -> Result<Read, ApiError> {
        let (mut bytes, mut room, mut units) = (BytesMut::new(), None::<OwnedSemaphorePermit>, 0_usize);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| ApiError::bad("the request's body broke off"))?;
            let Ok(data) = frame.into_data() else { continue };
            let length = bytes.len().saturating_add(data.len());
            if length > limit {
                return Err(ApiError::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    format!("the request's body is larger than {limit} bytes"),
                ));
            }
            // The first unit is free, so that small requests get through whatever the large ones do.
            let more = (length / UNIT).saturating_sub(units);
            if more > 0 {
                let busy = || ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "too many large requests at once");
                let permits = u32::try_from(more).map_err(|_| busy())?;
                let part = Arc::clone(&self.0)
                    .try_acquire_many_owned(permits)
                    .map_err(|_| busy())?;
                match &mut room {
                    Some(all) => all.merge(part),
                    None => room = Some(part),
                }
                units = units.saturating_add(more);
            }
            bytes.extend_from_slice(&data);
        }
        Ok(Read {
            bytes: bytes.freeze(),
            room,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn large_bodies_share_a_room_and_small_ones_always_get_in() {
        let bodies = Bodies::default();
        let large = || Body::from(vec![b' '; limits::MAX_BLOCK_BODY]);
        let mut held = Vec::new();
        let refused = loop {
            match bodies.read(large(), limits::MAX_BLOCK_BODY).await {
                Ok(read) => held.push(read),
                Err(e) => break e,
            }
        };
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(held.len(), limits::MAX_BODIES / limits::MAX_BLOCK_BODY);
        assert!(bodies.read(Body::from("small"), 10).await.is_ok());
        drop(held.pop());
        assert!(bodies.read(large(), limits::MAX_BLOCK_BODY).await.is_ok());
    }
}
