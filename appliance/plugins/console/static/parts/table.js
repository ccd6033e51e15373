/** Tables: sortable, walked with the arrow keys, wide ones scroll in themselves, long ones have pages. */
import { html, useState } from "../base.js"
import { whole } from "../units.js"

/**
 * @typedef {object} Column
 * @property {string} key
 * @property {any} title a text, or markup of a column that is not sortable
 * @property {boolean} [isNumber]
 * @property {(row: any) => any} [value] what it is sorted by
 * @property {(row: any) => any} [show]
 * @property {string} [className]
 * @property {boolean} [isFixed] not sortable
 */

/**
 * @param {{columns: Column[], rows: any[], caption: string, keyOf?: (row: any, index: number) => any,
 *   onRow?: (row: any) => void, sort?: string, footer?: any, rowClass?: (row: any) => string, pageRows?: number}} props
 *   pageRows: most rows shown at a time; what is sorted is all of them
 */
export function Table({ columns, rows, caption, keyOf, onRow, sort = "", footer, rowClass, pageRows = Infinity }) {
  const [order, setOrder] = useState(sort)
  const [firstChoice, setFirst] = useState(0)
  const name = order.replace(/^-/, "")
  const column = columns.find((one) => one.key === name)
  const sorted = column ? sortRows(rows, column, order.startsWith("-")) : rows
  // A filter may have left fewer pages than the one that was looked at.
  const first = Math.min(firstChoice, lastPageStart(rows.length, pageRows))
  const shown = sorted.slice(first, first + pageRows)
  const toggle = (one) => {
    const natural = one.isNumber ? `-${one.key}` : one.key
    const other = one.isNumber ? one.key : `-${one.key}`
    setOrder(order === natural ? other : natural)
    setFirst(0)
  }
  return html`<div class="table"><table>
    <caption class="hidden">${caption}</caption>
    <thead><tr>${columns.map((one) => html`<th key=${one.key} scope="col" class=${classOf(one)}
      aria-sort=${name === one.key ? (order.startsWith("-") ? "descending" : "ascending") : undefined}>
      ${one.isFixed || !one.title ? html`<span>${one.title}</span>`
        : html`<button type="button" onClick=${() => toggle(one)}>${one.title}</button>`}</th>`)}</tr></thead>
    <tbody onKeyDown=${walk}>${shown.map((row, index) => html`<tr key=${keyOf ? keyOf(row, index) : index}
      class=${[onRow ? "is-link" : "", rowClass?.(row) ?? ""].join(" ").trim() || undefined}
      tabindex=${onRow ? 0 : undefined}
      onClick=${onRow && ((event) => openRow(event, row, onRow))}
      onKeyDown=${onRow && ((event) => event.key === "Enter" && event.target === event.currentTarget && onRow(row))}>
      ${columns.map((one) => html`<td key=${one.key} class=${classOf(one)}>${one.show ? one.show(row) : row[one.key]}</td>`)}</tr>`)}
    </tbody>${footer}</table></div>
    ${rows.length > pageRows ? html`<${Pager} first=${first} pageRows=${pageRows} count=${rows.length} turn=${setFirst} />` : null}`
}

/** @param {number} count of rows @param {number} pageRows */
function lastPageStart(count, pageRows) {
  return count > pageRows ? Math.floor((count - 1) / pageRows) * pageRows : 0
}

/** @param {{first: number, pageRows: number, count: number, turn: (first: number) => void}} props */
function Pager({ first, pageRows, count, turn }) {
  const last = lastPageStart(count, pageRows)
  return html`<nav class="row pager" aria-label="Pages of the table">
    <button type="button" disabled=${first === 0} onClick=${() => turn(0)}>First</button>
    <button type="button" disabled=${first === 0} onClick=${() => turn(first - pageRows)}>Previous</button>
    <span role="status">${whole(first + 1)}–${whole(Math.min(first + pageRows, count))} of ${whole(count)}</span>
    <button type="button" disabled=${first === last} onClick=${() => turn(first + pageRows)}>Next</button>
    <button type="button" disabled=${first === last} onClick=${() => turn(last)}>Last</button></nav>`
}

/** @param {Column} column */
function classOf(column) {
  return [column.isNumber ? "number" : "", column.className ?? ""].join(" ").trim() || undefined
}

function openRow(event, row, onRow) {
  if (event.target.closest("a, button, input, select, label")) return
  if (window.getSelection()?.toString()) return
  onRow(row)
}

/** @param {any[]} rows @param {Column} column @param {boolean} isDown */
function sortRows(rows, column, isDown) {
  const value = column.value ?? ((row) => row[column.key])
  const found = [...rows].sort((one, other) => compareValues(value(one), value(other)))
  return isDown ? found.reverse() : found
}

/** Far faster than `localeCompare`, which makes one for each pair. */
const ALPHABET = new Intl.Collator("en", { numeric: true })

function compareValues(one, other) {
  if (one === other) return 0
  if (one === null || one === undefined) return -1
  if (other === null || other === undefined) return 1
  if (typeof one === "number" && typeof other === "number") return one - other
  return ALPHABET.compare(String(one), String(other))
}

function walk(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
  const row = event.target.closest("tr[tabindex]")
  if (!step || !row || event.target !== row) return
  const next = step > 0 ? row.nextElementSibling : row.previousElementSibling
  if (next) {
    event.preventDefault()
    next.focus()
  }
}

/** A share as a bar behind its number. @param {{share: number, colour?: string, children?: any}} props */
export function Bar({ share, colour, children }) {
  const width = `${Math.max(0, Math.min(1, share || 0)) * 100}%`
  return html`<span class="bar"><i style=${{ width, background: colour }}></i><b>${children}</b></span>`
}
