//! A provider's certificate for its webhooks, under a root that this run alone trusts.

use onerouter_engine::{WebhookRoot, webhook_roots};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, SigningKey as _,
    date_time_ymd,
};

/// The file's name behind the manifest's path.
const NAME: &str = "kit-certificate";

/// Who signs.
pub(crate) struct Identity {
    key: KeyPair,
    /// As it is served.
    pub(crate) chain: String,
    pub(crate) roots: Vec<WebhookRoot>,
}

impl Identity {
    /// `names` is what the manifest wants the certificate's name to end with.
    pub(crate) fn new(names: &str) -> Result<Self, String> {
        let failed = |error: rcgen::Error| error.to_string();
        let root_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let mut root = CertificateParams::default();
        root.distinguished_name = name("Conformance kit");
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        set_dates(&mut root);
        let root_certificate = root.self_signed(&root_key).map_err(failed)?;
        let root = Issuer::new(root, root_key);

        let subject = format!("kit{names}");
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).map_err(failed)?;
        let mut leaf = CertificateParams::new(vec![subject.clone()]).map_err(failed)?;
        leaf.distinguished_name = name(&subject);
        leaf.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.use_authority_key_identifier_extension = true;
        set_dates(&mut leaf);
        let leaf_certificate = leaf.signed_by(&key, &root).map_err(failed)?;
        Ok(Self {
            key,
            chain: leaf_certificate.pem(),
            roots: webhook_roots(root_certificate.pem().as_bytes())?,
        })
    }

    /// PKCS #1 v1.5 with SHA-256.
    pub(super) fn sign(&self, message: &str) -> Option<Vec<u8>> {
        self.key.sign(message.as_bytes()).ok()
    }

    /// Where the chain is found.
    pub(super) fn url(host: &str, path: &str) -> String {
        format!("https://{host}{path}{NAME}")
    }
}

fn name(title: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, title);
    name
}

/// Wide enough for every recording.
fn set_dates(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
}
