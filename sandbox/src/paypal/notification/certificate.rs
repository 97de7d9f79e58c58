//! Who signs: a certificate for PayPal's name, under an intermediate one, under a root of this sandbox's
//! own. A gateway that is told to trust that root checks the signatures as it would PayPal's.

use std::sync::{Arc, OnceLock};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, SigningKey as _,
    date_time_ymd,
};

/// The name in the certificates of PayPal's sandbox.
const SUBJECT: &str = "messageverificationcerts.sandbox.paypal.com";
/// Where the certificates are, which is not the API's host.
pub(in super::super) const HOST: &str = "api.sandbox.paypal.com";
const PATH: &str = "/v1/notifications/certs";

/// Made when it is first needed: an RSA key takes a while, and most sandboxes never sign.
#[derive(Clone, Default)]
pub(in super::super) struct Identity(Arc<OnceLock<Option<Certified>>>);

struct Certified {
    id: String,
    key: KeyPair,
    /// The leaf and the intermediate one, as they are served.
    chain: String,
    root: String,
}

impl Identity {
    pub(in super::super) fn prepare(&self) {
        self.certified();
    }

    /// PKCS #1 v1.5 with SHA-256; the same message has one signature only.
    pub(super) fn sign(&self, message: &str) -> Option<Vec<u8>> {
        self.certified()?.key.sign(message.as_bytes()).ok()
    }

    pub(super) fn url(&self) -> Option<String> {
        let id = &self.certified()?.id;
        Some(format!("https://{HOST}{PATH}/{id}"))
    }

    /// What is found at that URL.
    pub(in super::super) fn chain(&self, id: &str) -> Option<String> {
        let certified = self.certified()?;
        (certified.id == id).then(|| certified.chain.clone())
    }

    pub(in super::super) fn root(&self) -> Option<String> {
        Some(self.certified()?.root.clone())
    }

    fn certified(&self) -> Option<&Certified> {
        let made = self.0.get_or_init(|| match Certified::new() {
            Ok(certified) => Some(certified),
            Err(error) => {
                tracing::error!(%error, "no certificate for PayPal's webhooks");
                None
            }
        });
        made.as_ref()
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl Certified {
    fn new() -> Result<Certified, rcgen::Error> {
        let root_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let root = authority("Provider sandbox root", BasicConstraints::Unconstrained);
        let root_certificate = root.self_signed(&root_key)?;
        let root = Issuer::new(root, root_key);

        let middle_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let middle = authority("Provider sandbox issuer", BasicConstraints::Constrained(0));
        let middle_certificate = middle.signed_by(&middle_key, &root)?;
        let middle = Issuer::new(middle, middle_key);

        let key = KeyPair::generate_for(&PKCS_RSA_SHA256)?;
        let mut leaf = CertificateParams::new(vec![SUBJECT.to_owned()])?;
        leaf.distinguished_name = name(SUBJECT);
        leaf.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.use_authority_key_identifier_extension = true;
        set_dates(&mut leaf);
        let leaf_certificate = leaf.signed_by(&key, &middle)?;

        let [a, b, c] = rand::random::<[u32; 3]>();
        Ok(Certified {
            id: format!("CERT-{a:08x}-{b:08x}-{c:08x}"),
            key,
            chain: leaf_certificate.pem() + &middle_certificate.pem(),
            root: root_certificate.pem(),
        })
    }
}

fn authority(title: &str, constraints: BasicConstraints) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name(title);
    params.is_ca = IsCa::Ca(constraints);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    set_dates(&mut params);
    params
}

fn name(title: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, title);
    name.push(DnType::OrganizationName, "Provider sandbox");
    name
}

/// Wide enough for every clock: the machine's, and the sandbox's wherever it is moved.
fn set_dates(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
}
