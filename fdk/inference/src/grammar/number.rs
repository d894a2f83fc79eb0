//! Numbers, digit by digit, within bounds: a digit may come only where some number that begins so is within them.

use serde_json::Number;

/// The most digits: so many are told apart by every reader of JSON, whose numbers are f64.
const DIGITS: u32 = 15;
/// Digits after the point, unless the bounds have more.
const PLACES: u32 = 6;
const MOST_PLACES: u32 = 9;
/// The digits of a number that none here reaches: those have at most [`DIGITS`] and [`MOST_PLACES`] together.
const FAR: u32 = 36;

/// Which numbers there may be. Bounds are included, and in units of the last place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Numbers {
    /// Digits after the point; 0 of an integer.
    places: u32,
    least: i128,
    most: i128,
}

/// A bound, and whether it is one of the numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound<'a> {
    pub(super) number: &'a Number,
    pub(super) included: bool,
}

impl Numbers {
    /// Those within bounds; an error when a bound is finer than numbers here are.
    pub(super) fn within(integer: bool, least: &[Bound<'_>], most: &[Bound<'_>]) -> Result<Self, String> {
        let places = if integer {
            0
        } else {
            let places = least.iter().chain(most).map(|bound| parts(bound.number).2);
            places.fold(PLACES, u32::max)
        };
        if places > MOST_PLACES {
            return Err(format!(
                "a bound has {places} digits after the point, and {MOST_PLACES} are the most"
            ));
        }
        let everything = power(DIGITS + places);
        let mut numbers = Self { places, least: -everything, most: everything };
        for bound in least {
            let (floor, exact) = floor(bound.number, places);
            numbers.least = numbers.least.max(if exact && bound.included { floor } else { floor + 1 });
        }
        for bound in most {
            let (floor, exact) = floor(bound.number, places);
            numbers.most = numbers.most.min(if exact && !bound.included { floor - 1 } else { floor });
        }
        Ok(numbers)
    }

    /// The bounds of the digits after a sign; there is no −0.
    fn bounds(&self, negative: bool) -> (i128, i128) {
        if negative { ((-self.most).max(1), -self.least) } else { (self.least.max(0), self.most) }
    }
}

/// Sign, the digits as one number, and how many of them are after the point.
fn parts(number: &Number) -> (bool, String, u32) {
    // An f64 is shown with as few digits as it is told apart by, and never with an exponent.
    let text = match number.as_f64() {
        Some(float) if number.as_i64().is_none() && number.as_u64().is_none() => format!("{float}"),
        _ => number.to_string(),
    };
    let (negative, text) = text.strip_prefix('-').map_or((false, text.as_str()), |rest| (true, rest));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let places = u32::try_from(fraction.len()).unwrap_or(u32::MAX);
    (negative, format!("{whole}{fraction}"), places)
}

/// The greatest number in units of the last place that is not over this one, and whether it is this one. Of a number that is
/// outside of all that can be said, one that is so too.
fn floor(number: &Number, places: u32) -> (i128, bool) {
    let (negative, digits, has) = parts(number);
    let digits = digits.trim_start_matches('0');
    let cut = (has.saturating_sub(places) as usize).min(digits.len());
    let (kept, lost) = digits.split_at(digits.len() - cut);
    // What does not parse has too many digits, but for none at all.
    let whole = if kept.is_empty() { Some(0) } else { kept.parse::<i128>().ok() };
    let value = whole.and_then(|whole| whole.checked_mul(power(places.saturating_sub(has))));
    let far = power(FAR);
    let Some(value) = value.filter(|value| *value < far) else {
        return (if negative { -far } else { far }, true);
    };
    let exact = lost.bytes().all(|digit| digit == b'0');
    match (negative, exact) {
        (false, _) => (value, exact),
        (true, true) => (-value, true),
        (true, false) => (-value - 1, false),
    }
}

fn power(exponent: u32) -> i128 {
    10_i128.pow(exponent)
}

/// How far a number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digits {
    negative: bool,
    at: At,
    value: i128,
    /// Digits before the point, and after it.
    whole: u32,
    after: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Start,
    Sign,
    Whole,
    Point,
    After,
}

impl Digits {
    pub(super) const START: Self = Self { negative: false, at: At::Start, value: 0, whole: 0, after: 0 };

    /// The number with one byte more; `None` where no number begins so.
    pub(super) fn step(self, byte: u8, numbers: &Numbers) -> Option<Self> {
        let digit = i128::from(byte.wrapping_sub(b'0'));
        let with = |next: Self| Self { value: self.value * 10 + digit, ..next };
        let next = match (self.at, byte) {
            (At::Start, b'-') => Self { negative: true, at: At::Sign, ..self },
            (At::Start | At::Sign, b'0'..=b'9') => with(Self { at: At::Whole, whole: 1, ..self }),
            (At::Whole, b'0'..=b'9') if self.value > 0 => with(Self { whole: self.whole + 1, ..self }),
            (At::Whole, b'.') => Self { at: At::Point, ..self },
            (At::Point | At::After, b'0'..=b'9') => {
                with(Self { at: At::After, after: self.after + 1, ..self })
            }
            _ => return None,
        };
        next.rest(numbers).map(|_| next)
    }

    /// Whether it is a number as it is.
    pub(super) fn is_whole(self, numbers: &Numbers) -> bool {
        matches!(self.at, At::Whole | At::After)
            && self.reach(numbers, 0, self.after).is_some_and(|(low, high)| low <= high)
    }

    /// The fewest bytes that make it a number.
    pub(super) fn rest(self, numbers: &Numbers) -> Option<String> {
        if self.at == At::Start {
            let sign = |negative| Self { negative, at: At::Sign, ..self }.rest(numbers);
            let (plain, minus) = (sign(false), sign(true).map(|digits| format!("-{digits}")));
            return match (plain, minus) {
                (Some(plain), Some(minus)) if minus.len() < plain.len() => Some(minus),
                (plain, minus) => plain.or(minus),
            };
        }
        let most_more = match self.at {
            At::Start | At::Sign => DIGITS,
            // Nothing follows a zero that begins a number.
            At::Whole if self.value > 0 => DIGITS.saturating_sub(self.whole),
            At::Whole | At::Point | At::After => 0,
        };
        let least_after = if self.at == At::Point { 1 } else { self.after };
        let mut best: Option<String> = None;
        for after in least_after..=numbers.places {
            for more in 0..=most_more {
                let Some((low, high)) = self.reach(numbers, more, after) else { continue };
                if low > high {
                    continue;
                }
                let text = self.remainder(numbers, low, after);
                if best.as_ref().is_none_or(|best| text.len() < best.len()) {
                    best = Some(text);
                }
                // More digits are no shorter.
                break;
            }
        }
        best
    }

    /// The numbers that it can become with so many more digits before the point, and so many in all after it: from the
    /// least that is within the bounds to the greatest.
    fn reach(self, numbers: &Numbers, more: u32, after: u32) -> Option<(i128, i128)> {
        let whole = self.whole + more;
        if whole == 0 || whole + after > DIGITS || after > numbers.places {
            return None;
        }
        let (low, high) = if self.whole == 0 {
            (
                if whole == 1 { 0 } else { power(whole - 1) * power(numbers.places) },
                power(whole + numbers.places) - 1,
            )
        } else {
            let unit = power(more + numbers.places - self.after);
            (self.value * unit, (self.value + 1) * unit - 1)
        };
        let (least, most) = numbers.bounds(self.negative);
        // Numbers of so many places are multiples of this.
        let step = power(numbers.places - after);
        let low = low.max(least);
        let low = low + (step - low % step) % step;
        Some((low, high.min(most)))
    }

    /// The digits of a number, less those that are there.
    fn remainder(self, numbers: &Numbers, number: i128, after: u32) -> String {
        let unit = power(numbers.places);
        let mut text = (number / unit).to_string();
        if after > 0 {
            let fraction = number % unit / power(numbers.places - after);
            text = format!("{text}.{fraction:0width$}", width = after as usize);
        }
        let there = match self.at {
            At::Start | At::Sign => 0,
            At::Whole => self.whole,
            At::Point => self.whole + 1,
            At::After => self.whole + 1 + self.after,
        };
        text.get(there as usize..).unwrap_or_default().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn numbers(integer: bool, least: Option<&str>, most: Option<&str>) -> Numbers {
        let parse = |text: &str| serde_json::from_str::<Number>(text).unwrap();
        let (least, most) = (least.map(parse), most.map(parse));
        let bound = |number: &Option<Number>| number.clone();
        let (least, most) = (bound(&least), bound(&most));
        let all = |number: &'static Number| vec![Bound { number, included: true }];
        let leak = |number: Option<Number>| number.map(|number| &*Box::leak(Box::new(number)));
        let (least, most) = (leak(least).map_or(vec![], all), leak(most).map_or(vec![], all));
        Numbers::within(integer, &least, &most).unwrap()
    }

    fn takes(numbers: &Numbers, text: &str) -> bool {
        let end = text.bytes().try_fold(Digits::START, |digits, byte| digits.step(byte, numbers));
        end.is_some_and(|digits| digits.is_whole(numbers))
    }

    #[test]
    fn only_numbers_within_the_bounds_are_begun() {
        let hundred = numbers(true, Some("7"), Some("100"));
        for (text, good) in [
            ("7", true),
            ("6", false),
            ("10", true),
            ("100", true),
            ("101", false),
            ("-7", false),
            ("07", false),
        ] {
            assert_eq!(takes(&hundred, text), good, "{text}");
        }
        let zero = Digits::START.step(b'0', &hundred);
        assert_eq!(zero, None, "0 is below 7 and begins nothing else");
        let unit = numbers(false, Some("0"), Some("1"));
        for (text, good) in [
            ("0", true),
            ("1", true),
            ("0.25", true),
            ("1.0", true),
            ("1.1", false),
            ("-0", false),
            ("0.", false),
            ("1e0", false),
        ] {
            assert_eq!(takes(&unit, text), good, "{text}");
        }
        let below = numbers(true, None, Some("-3"));
        assert!(takes(&below, "-3") && !takes(&below, "-2") && !takes(&below, "3"));
        assert_eq!(Digits::START.rest(&below).unwrap(), "-3");
        assert_eq!(Digits::START.rest(&numbers(false, Some("0.25"), Some("0.29"))).unwrap(), "0.25");
        assert_eq!(Digits::START.rest(&numbers(true, Some("5"), Some("4"))), None);
        assert!(takes(&numbers(true, None, None), "-123456789012345"));
        assert!(!takes(&numbers(true, None, None), "1234567890123456"), "more than an f64 tells apart");
    }

    #[test]
    fn a_bound_beyond_all_numbers_bounds_nothing_or_leaves_none() {
        // 30 digits before the point, and 9 places that the other bound asks for.
        let fine = Some("0.123456789");
        let wide = numbers(false, fine, Some("9.9e29"));
        for (text, good) in
            [("0.123456789", true), ("0.123456788", false), ("999999999999999", true), ("-1", false)]
        {
            assert_eq!(takes(&wide, text), good, "{text}");
        }
        let below = numbers(false, Some("-9.9e29"), fine);
        assert!(takes(&below, "-999999999999999") && takes(&below, "0.1") && !takes(&below, "1"));
        for far in ["9.9e29", "1.7e38", "1e300", "18446744073709551615"] {
            assert_eq!(Digits::START.rest(&numbers(false, Some(far), None)), None, "from {far}");
            let minus = format!("-{}", if far.contains('e') { far } else { "9223372036854775808" });
            assert_eq!(Digits::START.rest(&numbers(true, None, Some(&minus))), None, "to {minus}");
        }
    }

    proptest! {
        #[test]
        fn what_is_begun_can_be_ended(least in -2000_i32..2000, width in 0_i32..300, scale in 0_u32..4, walk in proptest::collection::vec(0_usize..12, 0..12)) {
            let show = |number: i32| format!("{}", f64::from(number) / f64::from(10_u32.pow(scale)));
            let (low, high) = (show(least), show(least + width));
            let numbers = numbers(scale == 0, Some(&low), Some(&high));
            let (low, high) = (low.parse::<f64>().unwrap(), high.parse::<f64>().unwrap());
            let (mut digits, mut text) = (Digits::START, String::new());
            for choice in walk {
                let next: Vec<(u8, Digits)> = b"-.0123456789"
                    .iter()
                    .filter_map(|byte| digits.step(*byte, &numbers).map(|next| (*byte, next)))
                    .collect();
                let Some((byte, next)) = next.get(choice % next.len().max(1)) else { break };
                text.push(char::from(*byte));
                digits = *next;
            }
            text += &digits.rest(&numbers).unwrap();
            let value: f64 = text.parse().unwrap();
            prop_assert!(low <= value && value <= high, "{text} from {low} to {high}");
            prop_assert!(takes(&numbers, &text), "{text}");
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
        }
    }
}
