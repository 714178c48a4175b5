//! Hooks that run before and after each call.

use super::super::Reply;
use crate::BoxFuture;

/// One call of the SDK to an engine.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Name of the operation, for example "PutItem".
    pub operation: &'a str,
    /// Request body in DynamoDB JSON. For a call to the media store, the path with bucket and key.
    pub body: &'a [u8],
}

/// Effect of a hook on a call or on its response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallFate {
    /// The call continues without a change.
    Continue,
    /// The connection breaks. The SDK sees a dispatch failure, and its retries see a transient
    /// error.
    Lose,
    /// This response is returned instead, for example a throttle or a 500.
    Reply(Reply),
    /// No response is ever received.
    Hang,
}

/// Intercepts calls in tests. Both methods may wait before they return, which delays the call.
pub trait Hook: Send + Sync {
    /// Runs before the engine receives the call. With any other result than `Continue`, the engine
    /// never receives it.
    fn before<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, CallFate>;
    /// Runs after the engine has executed the call. With any other result than `Continue`, the
    /// caller does not receive the response.
    fn after<'a>(&'a self, call: &'a Call<'a>, reply: &'a Reply) -> BoxFuture<'a, CallFate>;
}

/// The hook that lets every call continue.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHook;

impl Hook for NoHook {
    fn before<'a>(&'a self, _: &'a Call<'a>) -> BoxFuture<'a, CallFate> {
        Box::pin(std::future::ready(CallFate::Continue))
    }

    fn after<'a>(&'a self, _: &'a Call<'a>, _: &'a Reply) -> BoxFuture<'a, CallFate> {
        Box::pin(std::future::ready(CallFate::Continue))
    }
}
