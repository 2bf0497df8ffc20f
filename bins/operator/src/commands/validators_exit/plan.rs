//! Signing the exits that were chosen, and letting them go or putting them away.

use std::path::Path;

use sw_key_ops::{KnownValidator, sign_exit};
use sw_signers::ValidatorSigner;
use sw_spec::{NetworkSpec, SignedVoluntaryExit};
use sw_vault_dir::{Overwrite, write_private};
use tokio::runtime::Runtime;

use super::{
    chain::Chain,
    report::{Fate, Report},
    send::{self, Signals},
    words,
};
use crate::{
    error::{CliError, Kind},
    ui::Ui,
};

/// What will be done, and with what.
pub(super) struct Plan<'a> {
    pub(super) runtime: &'a Runtime,
    pub(super) chain: &'a Chain,
    pub(super) chosen: &'a [KnownValidator],
    pub(super) signer: &'a dyn ValidatorSigner,
    pub(super) network: &'a NetworkSpec,
    pub(super) ui: &'a Ui,
}

impl Plan<'_> {
    /// Does what the report says that it is about.
    pub(super) fn carry_out(&self, report: &mut Report<'_>, is_agreed: bool) -> Result<(), CliError> {
        if self.chosen.is_empty() {
            self.ui.say("No validator can be exited now.");
            return Ok(());
        }
        if report.is_dry {
            report.all_are(self.chosen, || Fate::Listed);
            return Ok(());
        }
        if let Some(path) = report.output {
            self.write(path)?;
            report.all_are(self.chosen, || Fate::Signed);
            return Ok(());
        }
        if !is_agreed {
            words::confirm(self.chosen, self.ui)?;
        }
        self.send(report)
    }

    /// Signs all before anything leaves: what cannot be signed is known in time.
    async fn sign(&self, signals: &mut Signals) -> Result<Vec<(KnownValidator, SignedVoluntaryExit)>, CliError> {
        let signing = async {
            let keys: Vec<_> = self.chosen.iter().map(|validator| validator.public_key).collect();
            let refused = self.signer.prepare(&keys).await;
            if !refused.is_empty() {
                return Err(words::unsigned(refused.iter().map(|(_, error)| error)));
            }
            let mut signed = Vec::new();
            for validator in self.chosen {
                let exit = sign_exit(self.signer, validator, self.network).await;
                signed.push((*validator, exit.map_err(|error| words::unsigned([&error]))?));
            }
            Ok(signed)
        };
        tokio::select! {
            biased;
            stopped = signals.next() => Err(CliError::new(stopped, "interrupted; nothing was sent")),
            signed = signing => signed,
        }
    }

    fn write(&self, path: &Path) -> Result<(), CliError> {
        let signed = self
            .runtime
            .block_on(async { self.sign(&mut Signals::listen()?).await })?;
        let exits: Vec<_> = signed.iter().map(|(_, exit)| exit).collect();
        let text = serde_json::to_string(&exits)
            .map_err(|error| CliError::caused_by(Kind::Bug, "cannot write the exits as JSON", &error))?;
        write_private(path, text.as_bytes(), Overwrite::Refuse).map_err(|error| words::not_written(&error))?;
        words::drawer(path, self.ui);
        Ok(())
    }

    fn send(&self, report: &mut Report<'_>) -> Result<(), CliError> {
        self.runtime.block_on(async {
            let mut signals = Signals::listen()?;
            let signed = self.sign(&mut signals).await?;
            report.fates = send::all(&self.chain.client, &signed, &mut signals, self.ui).await;
            report.verdict(signals.caught)
        })
    }
}
