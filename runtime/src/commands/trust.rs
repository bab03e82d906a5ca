//! The flag that pins a public key, and bundles opened under it. Every command that opens a bundle does it here.

use std::path::Path;

use sparsight_runtime::{bundle::Bundle, signature::PublicKey};

/// Whose bundles are taken.
#[derive(clap::Args)]
pub struct Trust {
    /// Take only bundles that this minisign key has signed [default: $SPARSIGHT_PUBLIC_KEY, else sparsight.pub beside
    /// this program, else any bundle]
    #[arg(long, value_name = "KEY|FILE")]
    public_key: Option<String>,
}

impl Trust {
    /// The pinned key; none if none is.
    pub fn public_key(&self) -> anyhow::Result<Option<PublicKey>> {
        Ok(PublicKey::pinned(self.public_key.as_deref())?)
    }

    /// Opens a bundle, which the pinned key must have signed.
    pub fn open(&self, bundle: &Path) -> anyhow::Result<Bundle> {
        Ok(Bundle::open_signed(bundle, self.public_key()?.as_ref())?)
    }
}
