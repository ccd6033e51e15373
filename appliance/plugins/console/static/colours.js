/** Colours of series: safe for the colour-blind, and the same for one key as long as it is known. */

/** Paul Tol's muted scheme and three of his bright one, in an order that neighbours differ in. */
export const PALETTE = [
  "#4477aa", "#cc6677", "#ddcc77", "#44aa99", "#aa4499", "#88ccee",
  "#999933", "#ee8866", "#6699cc", "#228833", "#882255", "#bbcc33",
]
export const OTHER = "#8d99a6"

/** @type {Map<string, number>} */
const places = new Map()

/**
 * Return a colour for each key. A new one gets a colour that none beside it has.
 * @param {(string | null)[]} keys null is everything else
 */
export function coloursOf(keys) {
  const taken = new Set(keys.filter((key) => key !== null && places.has(key)).map((key) => places.get(key)))
  return keys.map((key) => {
    if (key === null) return OTHER
    let place = places.get(key)
    if (place === undefined) {
      place = PALETTE.findIndex((_, index) => !taken.has(index))
      if (place < 0) place = places.size % PALETTE.length
      taken.add(place)
      if (places.size > 5000) places.clear()
      places.set(key, place)
    }
    return PALETTE[place]
  })
}
