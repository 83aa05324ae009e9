//! Walks a text once, byte by byte, and hands each candidate to the rules of its kind.

use phonenumber::country;

use crate::stages::rewrite::pii::digits::{Group, MAX_RUN_DIGITS, digit_at, group_at};
use crate::stages::rewrite::pii::{Entity, Found, card, email, iban, ip, phone};

/// What to look for.
pub(super) struct Finder {
    pub(super) entities: Vec<Entity>,
    pub(super) public_ips_only: bool,
    pub(super) regions: Vec<country::Id>,
}

/// What a byte can begin.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Nothing,
    Digit,
    At,
    Colon,
}

/// The class of every byte.
static CLASSES: [Class; 256] = {
    let mut classes = [Class::Nothing; 256];
    let mut digit = b'0';
    while digit <= b'9' {
        classes[digit as usize] = Class::Digit;
        digit += 1;
    }
    // First byte of the fullwidth forms.
    classes[0xef] = Class::Digit;
    classes[b'@' as usize] = Class::At;
    classes[b':' as usize] = Class::Colon;
    classes
};

impl Finder {
    /// Everything that is to be replaced, in order, without overlaps. Where two kinds claim the same bytes
    /// the earlier one in the text stays, and of two that begin together the longer.
    pub(super) fn find(&self, text: &str) -> Vec<Found> {
        let bytes = text.as_bytes();
        let wants = |entity: Entity| self.entities.contains(&entity);
        let (emails, v6) = (wants(Entity::Email), wants(Entity::Ipv6));
        let mut found: Vec<Found> = Vec::new();
        let mut groups: Vec<Group> = Vec::new();
        let mut at = 0;
        while let Some(skip) = bytes[at..].iter().position(|&b| CLASSES[usize::from(b)] != Class::Nothing) {
            at += skip;
            let hit = match CLASSES[usize::from(bytes[at])] {
                Class::At if emails && email::is_candidate(text, at) => {
                    email::at_sign(text, at).map(|(start, end)| Found { start, end, entity: Entity::Email })
                }
                Class::Colon if v6 => ip::v6(text, at, self.public_ips_only).map(|(start, end)| Found {
                    start,
                    end,
                    entity: Entity::Ipv6,
                }),
                Class::Digit if digit_at(bytes, at).is_some() => {
                    let group = group_at(bytes, at);
                    at = group.end;
                    groups.push(group);
                    continue;
                }
                _ => None,
            };
            at += 1;
            if let Some(hit) = hit {
                at = at.max(hit.end);
                found.push(hit);
            }
        }
        self.numbers(text, &groups, &mut found);
        found.sort_by_key(|hit| (hit.start, usize::MAX - hit.end));
        let mut end = 0;
        found.retain(|hit| {
            let is_free = hit.start >= end;
            if is_free {
                end = hit.end;
            }
            is_free
        });
        found
    }

    /// Looks at each group of digits with those that follow it.
    fn numbers(&self, text: &str, groups: &[Group], found: &mut Vec<Found>) {
        let wants = |entity: Entity| self.entities.contains(&entity);
        let (v4, ibans) = (wants(Entity::Ipv4), wants(Entity::Iban));
        let (cards, phones) = (wants(Entity::CreditCard), wants(Entity::Phone));
        let mut at = 0;
        let mut free_from = 0;
        while let Some(group) = groups.get(at) {
            let rest = &groups[at..];
            at += 1;
            if group.start < free_from || group.len > MAX_RUN_DIGITS && !ibans {
                continue;
            }
            let mut hit = None;
            if ibans {
                hit = iban::check_digits(text, group).map(|(start, end)| (start, end, Entity::Iban));
            }
            if v4 && hit.is_none() {
                hit = ip::v4(text, rest, self.public_ips_only).map(|(start, end)| (start, end, Entity::Ipv4));
            }
            if cards && hit.is_none() {
                hit = card::number(text, rest).map(|(start, end, _)| (start, end, Entity::CreditCard));
            }
            if phones && hit.is_none() {
                hit = phone::number(text, rest, &self.regions)
                    .map(|(start, end, _)| (start, end, Entity::Phone));
            }
            if let Some((start, end, entity)) = hit {
                free_from = end;
                found.push(Found { start, end, entity });
            }
        }
    }
}
