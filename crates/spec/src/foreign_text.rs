//! Somebody else's words on a terminal.

/// Whether a character of somebody else's text leaves what a terminal shows around it as it is: no control character, none
/// that turns the direction of writing or breaks the line, and none that is not seen.
pub fn is_harmless(c: char) -> bool {
    let is_hidden =
        matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !is_hidden && !c.is_control()
}
