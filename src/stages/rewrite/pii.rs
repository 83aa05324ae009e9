//! `pii`: personal data out of a text, placeholders in.
//!
//! What is looked for goes beyond datatrove's PIIFormatter (e-mail and IPv4 by two regular expressions)
//! and towards Presidio's recognisers. How: candidates are found by bytes (`@`, `:`, runs of digits), then
//! a small window around each is checked by rules that know the format: public suffixes, octets, issuer
//! and Luhn, check digits of the country's IBAN, libphonenumber's metadata. Numbers that are something
//! else (versions, dates, prices, ISBNs, parts of addresses) stay.
//!
//! Differences from datatrove: a replacement depends on the entity alone, never on the order of documents
//! (there six fake addresses take turns); a dotted number inside a longer one (`1.2.3.4.5`) or behind a
//! product's name is a version; IPv6, phones, cards and IBANs too. Linear in the text; never drops.

use phonenumber::country;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::document::{Document, Outcome};
use crate::stage::{
    BuildContext, Built, Context, DocStage, Kind, OptionError, ScoreSpec, StageSpec, parse_options, schema_of,
};

mod around;
mod card;
mod digits;
mod email;
mod find;
mod iban;
mod ip;
mod phone;

use find::Finder;

/// How the stage describes itself.
pub static SPEC: StageSpec = StageSpec {
    name: "pii",
    kind: Kind::Rewrite,
    needs_text: true,
    summary: "Replaces e-mail and IP addresses, phone, card and bank account numbers by placeholders.",
    source: "own rules over libphonenumber's metadata, the public suffix list and the IBAN registry; \
             e-mail and IPv4 compared with datatrove's PIIFormatter",
    reasons: &[],
    scores: &[
        ScoreSpec { name: "email", doc: "e-mail addresses replaced", min: 0.0, max: 40.0 },
        ScoreSpec { name: "ipv4", doc: "IPv4 addresses replaced", min: 0.0, max: 40.0 },
        ScoreSpec { name: "ipv6", doc: "IPv6 addresses replaced", min: 0.0, max: 40.0 },
        ScoreSpec { name: "phone", doc: "phone numbers replaced", min: 0.0, max: 40.0 },
        ScoreSpec { name: "credit_card", doc: "card numbers replaced", min: 0.0, max: 40.0 },
        ScoreSpec { name: "iban", doc: "bank account numbers (IBAN) replaced", min: 0.0, max: 40.0 },
        ScoreSpec { name: "matches", doc: "all of them together", min: 0.0, max: 40.0 },
    ],
    limits: &[],
    schema: schema_of::<Config>,
    build,
};

/// Options of `pii`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What to look for. Default: all.
    #[schemars(length(min = 1))]
    pub entities: Vec<Entity>,
    /// What to write in place of each. Defaults: `<EMAIL>`, `<IP_ADDRESS>`, `<PHONE_NUMBER>`,
    /// `<CREDIT_CARD>`, `<IBAN>`.
    pub placeholders: Placeholders,
    /// Leave IP addresses alone that belong to nobody: private, loopback, link-local, shared,
    /// documentation, reserved and multicast ranges. Default true.
    pub public_ips_only: bool,
    /// Countries (ISO 3166 codes such as `US`) whose national number formats are known. Numbers with `+`
    /// and a country code are found in any case. Default `[US]`.
    pub phone_regions: Vec<String>,
}

/// Kinds of personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Entity {
    /// E-mail address.
    Email,
    /// IPv4 address.
    Ipv4,
    /// IPv6 address.
    Ipv6,
    /// Phone number.
    Phone,
    /// Credit or debit card number.
    CreditCard,
    /// International bank account number.
    Iban,
}

impl Entity {
    const ALL: [Self; 6] = [Self::Email, Self::Ipv4, Self::Ipv6, Self::Phone, Self::CreditCard, Self::Iban];

    fn score(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Phone => "phone",
            Self::CreditCard => "credit_card",
            Self::Iban => "iban",
        }
    }
}

/// What to write in place of each kind; any text, an empty one too.
#[derive(Debug, Clone, Deserialize, serde::Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Placeholders {
    /// For e-mail addresses. Default `<EMAIL>`.
    pub email: String,
    /// For IP addresses of both versions. Default `<IP_ADDRESS>`.
    pub ip_address: String,
    /// For phone numbers. Default `<PHONE_NUMBER>`.
    pub phone: String,
    /// For card numbers. Default `<CREDIT_CARD>`.
    pub credit_card: String,
    /// For bank account numbers. Default `<IBAN>`.
    pub iban: String,
}

impl Default for Placeholders {
    fn default() -> Self {
        Self {
            email: "<EMAIL>".into(),
            ip_address: "<IP_ADDRESS>".into(),
            phone: "<PHONE_NUMBER>".into(),
            credit_card: "<CREDIT_CARD>".into(),
            iban: "<IBAN>".into(),
        }
    }
}

impl Placeholders {
    fn of(&self, entity: Entity) -> &str {
        match entity {
            Entity::Email => &self.email,
            Entity::Ipv4 | Entity::Ipv6 => &self.ip_address,
            Entity::Phone => &self.phone,
            Entity::CreditCard => &self.credit_card,
            Entity::Iban => &self.iban,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            entities: Entity::ALL.to_vec(),
            placeholders: Placeholders::default(),
            public_ips_only: true,
            phone_regions: vec!["US".into()],
        }
    }
}

fn build(options: Value, _: &mut BuildContext) -> Result<Built, Vec<OptionError>> {
    Ok(Built::Doc(Box::new(Pii::new(parse_options(options)?)?)))
}

/// Personal data in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// First byte.
    pub start: usize,
    /// Byte after the last.
    pub end: usize,
    /// What it is.
    pub entity: Entity,
}

/// The stage.
pub struct Pii {
    finder: Finder,
    placeholders: Placeholders,
}

impl Pii {
    /// Builds the stage.
    ///
    /// # Errors
    /// For each of `phone_regions` that is no country.
    pub fn new(config: Config) -> Result<Self, Vec<OptionError>> {
        let mut regions = Vec::new();
        let mut errors = Vec::new();
        for (at, code) in config.phone_regions.iter().enumerate() {
            match code.parse::<country::Id>() {
                Ok(region) => regions.push(region),
                Err(_) => errors.push(
                    OptionError::new(
                        format!("phone_regions.{at}"),
                        format!("`{code}` is no country with phone numbers"),
                    )
                    .hint("two capital letters, as in `US`, `GB`, `DE`"),
                ),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let finder = Finder { entities: config.entities, public_ips_only: config.public_ips_only, regions };
        Ok(Self { finder, placeholders: config.placeholders })
    }

    /// Everything that the stage replaces in a text, in order, without overlaps.
    #[must_use]
    pub fn find(&self, text: &str) -> Vec<Found> {
        self.finder.find(text)
    }

    /// The text with placeholders, or `None` where nothing was found.
    fn rewrite(&self, text: &str, found: &[Found]) -> Option<String> {
        if found.is_empty() {
            return None;
        }
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for hit in found {
            out.push_str(text.get(from..hit.start).unwrap_or_default());
            out.push_str(self.placeholders.of(hit.entity));
            from = hit.end;
        }
        out.push_str(text.get(from..).unwrap_or_default());
        Some(out)
    }
}

impl DocStage for Pii {
    fn process(&self, doc: &mut Document, cx: &mut Context) -> Outcome {
        let found = self.finder.find(&doc.text);
        for &entity in Entity::ALL.iter().filter(|entity| self.finder.entities.contains(entity)) {
            let count = found.iter().filter(|hit| hit.entity == entity).count();
            cx.score(doc, entity.score(), count as f64);
        }
        cx.score(doc, "matches", found.len() as f64);
        match self.rewrite(&doc.text, &found) {
            Some(text) => {
                doc.text = text;
                Outcome::Changed
            }
            None => Outcome::Keep,
        }
    }
}

#[cfg(test)]
mod tests;
