// Spaces as Python's str.isspace has them, for a class of a regular expression.
const SPACES = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const NO_SPACE = new RegExp(`[^${SPACES}]`, "u");
const SPACES_BEFORE = new RegExp(`^[${SPACES}]+`, "u");
const SPACES_BEHIND = new RegExp(`(?<![${SPACES}])[${SPACES}]+$`, "u");

const isBlank = (text) => !NO_SPACE.test(text);
const stripBehind = (text) => text.replace(SPACES_BEHIND, "");
const strip = (text) => stripBehind(text.replace(SPACES_BEFORE, ""));
