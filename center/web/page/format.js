// Figures as text. Every function takes what JSON brings: a number, a word such as "noiseless", or null.

const NONE = "–";

export function decibels(value, digits = 1) {
  if (value === "noiseless" || value === "identical") return "∞ dB";
  return typeof value === "number" ? `${minus(value.toFixed(digits))} dB` : NONE;
}

export function milliseconds(value) {
  if (typeof value !== "number") return NONE;
  if (Math.abs(value) >= 10000) return `${minus((value / 1000).toFixed(0))} s`;
  return Math.abs(value) >= 1000 ? `${minus((value / 1000).toFixed(1))} s` : `${minus(value.toFixed(0))} ms`;
}

// Without its unit.
export function stageTime(value) {
  return value.toFixed(value < 9.95 ? 1 : 0);
}

export function ratio(value) {
  return typeof value === "number" ? value.toFixed(3) : NONE;
}

export function count(value) {
  return typeof value === "number" ? value.toLocaleString("en") : NONE;
}

export function minus(text) {
  return String(text).replace("-", "−");
}
