//! `payment` of an order: when what is authorized for it is captured. It goes before the account's
//! setting: <https://razorpay.com/docs/payments/payments/capture-settings/api/>.

use chrono::TimeDelta;

use super::{error::RazorpayError, fields::Fields};

/// Nothing is captured by itself faster than that may be asked for, in minutes.
const EXPIRY_MIN: i64 = 12;
/// The longest wait for a capture, in minutes, and how long an order with terms of its own waits.
const EXPIRY_MAX: i64 = 7_200;

/// What an order says of the capture of its payments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CaptureTerms {
    mode: Mode,
    /// How long after its creation a payment waits to be captured.
    pub(super) window: TimeDelta,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// What is authorized within this time of the payment's creation is captured at once.
    Automatic(TimeDelta),
    Manual,
}

impl CaptureTerms {
    /// Whether a payment that is authorized at this age is captured without being asked for.
    pub(super) fn captures_at(self, age: TimeDelta) -> bool {
        match self.mode {
            Mode::Automatic(within) => age <= within,
            Mode::Manual => false,
        }
    }

    /// The member `payment` of a new order, where it has one.
    pub(super) fn parse(fields: &Fields<'_>) -> Result<Option<CaptureTerms>, RazorpayError> {
        let Some(payment) = fields.object("payment")? else {
            return Ok(None);
        };
        payment.only(&["capture", "capture_options"])?;
        let capture = payment.one_of("capture", &["automatic", "manual"])?;
        let capture = capture.ok_or_else(|| payment.missing("capture"))?;
        let options = payment.object("capture_options")?;
        let expiry = match &options {
            Some(options) => Expiry::parse(options)?,
            None => Expiry::default(),
        };
        let mode = match (capture, expiry.automatic) {
            ("automatic", None) => return Err(payment.missing("automatic_expiry_period")),
            ("automatic", Some(minutes)) => Mode::Automatic(TimeDelta::minutes(minutes)),
            _ => Mode::Manual,
        };
        Ok(Some(CaptureTerms {
            mode,
            window: TimeDelta::minutes(expiry.manual.unwrap_or(EXPIRY_MAX)),
        }))
    }
}

/// `capture_options`, in minutes.
#[derive(Debug, Default)]
struct Expiry {
    automatic: Option<i64>,
    manual: Option<i64>,
}

impl Expiry {
    fn parse(options: &Fields<'_>) -> Result<Expiry, RazorpayError> {
        options.only(&[
            "automatic_expiry_period",
            "manual_expiry_period",
            "refund_speed",
        ])?;
        // The table has `normal` alone, the samples `optimum`.
        options
            .one_of("refund_speed", &["normal", "optimum"])?
            .ok_or_else(|| options.missing("refund_speed"))?;
        let automatic = period(options, "automatic_expiry_period", EXPIRY_MIN)?;
        let least = automatic.unwrap_or(EXPIRY_MIN);
        Ok(Expiry {
            automatic,
            manual: period(options, "manual_expiry_period", least)?,
        })
    }
}

fn period(
    options: &Fields<'_>,
    name: &'static str,
    least: i64,
) -> Result<Option<i64>, RazorpayError> {
    let minutes = options.optional_count(name, least)?;
    if minutes.is_some_and(|minutes| minutes > EXPIRY_MAX) {
        let label = name.replace('_', " ");
        let text = format!("The {label} may not be greater than {EXPIRY_MAX}.");
        return Err(options.wrong(name, text));
    }
    Ok(minutes)
}
