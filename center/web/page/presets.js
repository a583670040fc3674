// What a newcomer may try: settings of both links, and what is to be seen then.

const awgn = (snr_db) => ({ model: "awgn", snr_db, outage: false });

export const PRESETS = [
  { name: "One link in noise", left: awgn(10), right: awgn(-3),
    text: "Right, noise is stronger than the signal: the picture leans on what the left camera sees." },
  { name: "One link cut", left: awgn(10), right: { outage: true },
    text: "No frame passes the right link: the left camera goes on alone, at once." },
  { name: "Both in noise", left: awgn(-1), right: awgn(-1),
    text: "Both pictures grow softer, and none breaks: there are no bits that could be wrong." },
  { name: "Fading", left: { model: "rayleigh", coherence: 1, snr_db: 8, outage: false },
    right: { model: "rayleigh", coherence: 1, snr_db: 8, outage: false },
    text: "Each symbol meets another gain, as between moving antennas; the center undoes them." },
  { name: "No noise", left: { model: "clean", outage: false }, right: { model: "clean", outage: false },
    text: "What is missing now is what a picture's symbols cannot hold." },
  { name: "Reset", left: "reset", right: "reset",
    text: "Pull one link into the noise: its picture leans on what the other camera still sees." },
];
