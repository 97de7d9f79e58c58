//! Objects that another request refers to: by our id, or by the provider's.

use chrono::{DateTime, Utc};
use onerouter_domain::code::ErrorCode;
use onerouter_domain::environment::Environment;
use onerouter_domain::id::{PaymentId, TenantId};
use onerouter_domain::money::Currency;
use onerouter_domain::payment::PaymentStatus;
use onerouter_engine::Outcome;
use onerouter_manifest::Capability;

use super::act::DONE;
use super::{Answer, Intent, KEY_KEPT, Objects};
use crate::service::caller::Caller;
use crate::service::kind::Kind;
use crate::service::object::Object;
use crate::service::outcome;
use crate::service::payment::{self, Payment};
use crate::service::refusal::{FieldMistake, Refusal};
use crate::store::{KeyClaim, NewKeyClaim, ObjectKind, Store};
use crate::store::{StoreError, TenantTx};

impl<K: Kind> Objects<K> {
    /// The rows behind it.
    pub(in crate::service) fn store(&self) -> &Store {
        &self.parts.store
    }

    /// An object as a request names it: by our id, or by one of the provider's.
    ///
    /// # Errors
    /// `not_found`; `validation_failed` where several are meant.
    pub(in crate::service) async fn find_named(
        &self,
        caller: &Caller,
        name: &str,
        pointer: &str,
    ) -> Result<Object<K>, Refusal> {
        if let Ok(id) = name.parse::<K::Id>() {
            return self.find(caller.tenant, caller.environment, id).await;
        }
        let failed = Self::store_failed("cannot find an object by its provider's id");
        let begun = self.parts.store.begin_read(caller.tenant).await;
        let mut tx = begun.map_err(&failed)?;
        let found = tx
            .find_by_provider_ref(K::OBJECT, caller.environment, name)
            .await
            .map_err(&failed)?;
        drop(tx);
        match found.as_slice() {
            [] => Err(Refusal::not_found(K::NOUN)),
            [id] => {
                self.find(caller.tenant, caller.environment, K::id(*id))
                    .await
            }
            _ => Err(Refusal::invalid(vec![FieldMistake::new(
                pointer,
                "conflict",
                format!("stands for more than one {}; use the gateway's id", K::NOUN),
            )])),
        }
    }
}

impl Objects<Payment> {
    /// In which currency a payment is.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn currency_of(&self, caller: &Caller, id: PaymentId) -> Result<Currency, Refusal> {
        let payment = self.find(caller.tenant, caller.environment, id).await?;
        Ok(payment.request.amount.currency())
    }

    /// Notes in a payment how much of it is refunded.
    pub(in crate::service) async fn count_refunds(
        tx: &mut TenantTx,
        environment: Environment,
        id: PaymentId,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let row = tx
            .lock_object(ObjectKind::Payment, environment, id.uuid())
            .await?;
        let Some(row) = row else {
            return Ok(());
        };
        let mut payment = Object::<Payment>::from_row(row)?;
        let sums = tx.refund_sums(id.uuid()).await?;
        let facts = &mut payment.facts;
        // More than there are refunds: one that failed, or one that was made elsewhere.
        let is_doubtful = facts.amount_refunded > Some(sums.reserved);
        if sums.given <= facts.refunds_given && (facts.counts_refunds_anew || !is_doubtful) {
            return Ok(());
        }
        facts.refunds_given = sums.given;
        facts.counts_refunds_anew |= is_doubtful;
        let status = payment.status;
        Self::write(tx, &mut payment, Some(status), now).await?;
        Ok(())
    }

    /// Checks what the provider's widget handed to the buyer's browser, and reads the payment.
    ///
    /// # Errors
    /// `validation_failed` at `/provider_response` where it is not the provider's word.
    pub async fn confirm(
        &self,
        caller: &Caller,
        intent: Intent,
        id: PaymentId,
        response: Vec<(String, String)>,
    ) -> Result<Answer, Refusal> {
        let (this, caller) = (self.clone(), caller.clone());
        self.finish(Box::pin(async move {
            this.check_and_read(&caller, intent, id, response).await
        }))
        .await
    }

    async fn check_and_read(
        &self,
        caller: &Caller,
        intent: Intent,
        id: PaymentId,
        response: Vec<(String, String)>,
    ) -> Result<Answer, Refusal> {
        if let Some(answer) = self.keep_confirmation(caller, &intent, None).await? {
            return Ok(answer);
        }
        let payment = self.find(caller.tenant, caller.environment, id).await?;
        let payment = self.confirmed(caller.tenant, payment, &response).await?;
        let body = bytes::Bytes::from(Payment::present(&payment, None));
        let kept = self.keep_confirmation(caller, &intent, Some(&body)).await?;
        Ok(kept.unwrap_or_else(|| Answer::fresh(DONE, body)))
    }

    /// The answer that an earlier request with the key got; else this one's is kept, once there is
    /// one. Checking twice does no harm, so a key is not taken before that.
    async fn keep_confirmation(
        &self,
        caller: &Caller,
        intent: &Intent,
        body: Option<&bytes::Bytes>,
    ) -> Result<Option<Answer>, Refusal> {
        let failed = Self::store_failed("cannot keep a confirmation");
        let Some(key) = &intent.key else {
            return Ok(None);
        };
        let now = self.parts.clock.now();
        let claim = NewKeyClaim {
            environment: caller.environment,
            key: key.clone(),
            route: intent.route.to_owned(),
            request_hash: intent.hash,
            object_id: None,
            now,
            expires_at: now + KEY_KEPT,
        };
        let begun = self.parts.store.begin(caller.tenant).await;
        let mut tx = begun.map_err(&failed)?;
        if let KeyClaim::Existing(row) = tx.claim_key(&claim).await.map_err(&failed)? {
            return self.replay(row, intent).map(Some);
        }
        let Some(body) = body else {
            // Undone with the transaction.
            return Ok(None);
        };
        tx.finish_key(caller.environment, key, DONE, body, now + KEY_KEPT)
            .await
            .map_err(&failed)?;
        tx.commit().await.map_err(&failed)?;
        Ok(None)
    }

    /// A payment whose widget's response was checked, as the provider has it now.
    async fn confirmed(
        &self,
        tenant: TenantId,
        payment: Object<Payment>,
        response: &[(String, String)],
    ) -> Result<Object<Payment>, Refusal> {
        let connections = &self.parts.connections;
        let (connection, adapter) = connections.of_object(tenant, payment.connection_id).await?;
        if !adapter.can(Capability::Checkout) {
            return Err(Refusal::new(
                ErrorCode::UnsupportedByProvider,
                format!(
                    "{} has no widget whose response could be confirmed; read the payment instead.",
                    connection.provider
                ),
            )
            .about(payment.id));
        }
        let Some(provider_ref) = payment.provider_ref.clone() else {
            return Err(Refusal::new(
                ErrorCode::InvalidState,
                "It is not known yet whether the provider has this payment.",
            )
            .about(payment.id));
        };
        let context = Self::context(&connection);
        let reference = payment.reference(&provider_ref);
        let report = adapter
            .checkout_confirm(&context, &reference, response)
            .await
            .map(payment::from_wit);
        outcome::log(&connection.provider, "confirm", &report);
        let refusal = match report.outcome {
            Outcome::Accepted(reported) => {
                let applied = self.apply(tenant, &payment, reported).await;
                let applied = applied.map_err(Self::store_failed("cannot store a confirmation"))?;
                let payment = applied.unwrap_or(payment);
                // The provider's widget has shown the buyer the way to other means.
                let payment = self.opened(tenant, payment).await;
                return Ok(self.follow_up(tenant, payment).await);
            }
            Outcome::Declined(refusal) => outcome::declined(&connection.provider, refusal),
            Outcome::NotSent(reason) => outcome::not_sent(&connection.provider, reason),
            // Nothing was asked for that could have changed something.
            Outcome::Unknown(_) => Refusal::new(
                ErrorCode::ProviderError,
                format!(
                    "{} gave no usable answer; read the payment.",
                    connection.provider
                ),
            ),
        };
        Err(refusal.about(payment.id))
    }

    /// A payment whose buyer has come back, with what the provider handed to the browser.
    pub(in crate::service) async fn returned(
        &self,
        tenant: TenantId,
        payment: Object<Payment>,
        response: Vec<(String, String)>,
    ) -> Object<Payment> {
        let payment = self.opened(tenant, payment).await;
        if response.is_empty() {
            return self.refreshed(tenant, payment).await;
        }
        if matches!(
            payment.status,
            PaymentStatus::Succeeded | PaymentStatus::Canceled
        ) {
            return payment;
        }
        let (this, asked) = (self.clone(), payment.clone());
        let work = async move {
            // Whoever has the address may come back as often as they like.
            let is_mine = this.may_ask_now(tenant, &asked).await;
            if !is_mine.map_err(Self::store_failed("cannot begin a refresh"))? {
                return Ok(asked);
            }
            let refusal = match this.confirmed(tenant, asked.clone(), &response).await {
                Ok(payment) => return Ok(payment),
                Err(refusal) => refusal,
            };
            tracing::info!(payment.id = %asked.id, reason = refusal.detail, "a buyer came back without a word of the provider's");
            Ok(this.ask(tenant, asked.clone()).await.unwrap_or(asked))
        };
        self.finish(Box::pin(work)).await.unwrap_or(payment)
    }
}
