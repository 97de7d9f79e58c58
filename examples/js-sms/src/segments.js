// In how many parts a text message travels.

// The basic alphabet of GSM 03.38, one septet each.
const BASIC = new Set(
  '@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !"#¤%&\'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZ' +
    'ÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà',
);
// These take an escape and a septet.
const EXTENDED = new Set('\f^{}\\[~]|€');

// The number of parts: GSM-7 where all characters have a place there, else UCS-2.
export function segments(text) {
  const characters = [...text];
  if (characters.every((character) => BASIC.has(character) || EXTENDED.has(character))) {
    return parts(characters.map((character) => (BASIC.has(character) ? 1 : 2)), 160, 153);
  }
  return parts(characters.map((character) => character.length), 70, 67);
}

function parts(sizes, alone, part) {
  if (sizes.reduce((sum, size) => sum + size, 0) <= alone) {
    return 1;
  }
  let count = 1;
  let used = 0;
  for (const size of sizes) {
    // No character is split over two parts.
    if (used + size > part) {
      count += 1;
      used = 0;
    }
    used += size;
  }
  return count;
}
