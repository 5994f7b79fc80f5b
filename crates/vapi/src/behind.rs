//! What handlers work with: the component behind the API, the way to the beacon nodes, the settings.

use std::sync::Arc;

use trireme_core::validatorapi::ValidatorApi;

use crate::{clients::Clients, config::Config, proxy::Proxy};

/// See the module's description.
pub(crate) struct Behind {
    pub(crate) api: Arc<ValidatorApi>,
    pub(crate) proxy: Arc<Proxy>,
    pub(crate) config: Config,
    pub(crate) clients: Clients,
}
