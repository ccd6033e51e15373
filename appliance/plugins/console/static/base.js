/** What every module of the console begins with: markup, hooks, and small values that are shared. */
import { h, render, Fragment } from "preact"
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks"
import htm from "htm"

export const html = htm.bind(h)
export { Fragment, render, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState }

/**
 * A value that components follow.
 * @template T
 */
export class Shared {
  /** @param {T} value */
  constructor(value) {
    this.value = value
    this.listeners = new Set()
  }

  /** @param {T} value */
  set(value) {
    if (value === this.value) return
    this.value = value
    for (const listener of [...this.listeners]) listener(value)
  }

  /** Return the value, and render again when it changes. */
  use() {
    const [value, setValue] = useState(this.value)
    useLayoutEffect(() => {
      setValue(this.value)
      this.listeners.add(setValue)
      return () => this.listeners.delete(setValue)
    }, [this])
    return value
  }
}

/**
 * A shared text that this browser remembers.
 * @param {string} name @param {string} initial @param {string[]} [allowed]
 */
export function rememberedText(name, initial, allowed) {
  let text = null
  try {
    text = localStorage.getItem(`console.${name}`)
  } catch {
    // A browser may refuse to remember.
  }
  const shared = new Shared(text !== null && (!allowed || allowed.includes(text)) ? text : initial)
  shared.listeners.add((value) => {
    try {
      localStorage.setItem(`console.${name}`, value)
    } catch {
      // As above.
    }
  })
  return shared
}

let lastId = 0

/** Return an identifier for an element, the same as long as the component lives. */
export function useId(prefix = "e") {
  return useMemo(() => `${prefix}${++lastId}`, [prefix])
}
