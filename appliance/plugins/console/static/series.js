/** From the API's series to lines of a chart: rates, colours by key, the bin that is not whole. */
import { coloursOf } from "./colours.js"
import { cells, joinFilters, labelOf } from "./labels.js"
import { MEASURES, si } from "./units.js"

/**
 * @param {any} answer of `/api/v1/explore/series`
 * @param {{factor: number}} measure of `MEASURES`
 */
export function chartOf(answer, measure) {
  const starts = answer.starts.map((text) => Date.parse(text))
  const stepMs = answer.step_seconds * 1000
  const [wholeFrom, wholeUntil] = [answer.complete_from, answer.complete_until].map((text) => Date.parse(text))
  // A bin that still fills would draw a fall that there is not.
  const count = starts.findIndex((start) => start + stepMs > wholeUntil)
  const n = count <= 0 ? starts.length : count
  const factor = measure.factor / answer.step_seconds
  const series = answer.rows.map((row) => {
    const values = row.values.slice(0, n).map((value) => value * factor)
    const { statistics } = row
    return {
      key: row.is_other ? null : JSON.stringify(row.keys),
      label: labelOf(row.keys, row.is_other),
      filter: row.is_other ? null : joinFilters(...cells(row.keys).map((cell) => cell.filter)) || null,
      keys: row.keys,
      isOther: row.is_other,
      values,
      isEstimate: (row.errors ?? []).some((error) => error > 0),
      sum: statistics.sum,
      minimum: statistics.minimum * measure.factor,
      maximum: statistics.maximum * measure.factor,
      mean: statistics.mean * measure.factor,
      last: statistics.last * measure.factor,
      percentile95: statistics.percentile_95 * measure.factor,
    }
  })
  const sums = starts.slice(0, n).map((_, index) => series.reduce((sum, one) => sum + one.values[index], 0))
    .filter((_, index) => starts[index] >= wholeFrom)
  return {
    startsMs: starts.slice(0, n),
    stepMs,
    series,
    totalMean: sums.reduce((sum, value) => sum + value, 0) / Math.max(sums.length, 1),
    total95: percentile(sums, 0.95),
  }
}

/** As ISPs bill: the value that 95 in 100 bins do not exceed. @param {number[]} values @param {number} share */
function percentile(values, share) {
  if (!values.length) return 0
  const order = [...values].sort((one, other) => one - other)
  return order[Math.max(Math.ceil(order.length * share) - 1, 0)]
}

/** One picture of two answers in bit/s, the second below zero. @param {any} incoming @param {any} outgoing */
export function pictureOfBoth(incoming, outgoing) {
  const charts = [incoming, outgoing].map((answer) => chartOf(answer, MEASURES.octets))
  const startsMs = charts[0].startsMs.length >= charts[1].startsMs.length ? charts[0].startsMs : charts[1].startsMs
  const keys = [...new Set(charts.flatMap((chart) => chart.series.map((one) => one.key)))]
  const colours = new Map(coloursOf(keys).map((colour, index) => [keys[index], colour]))
  const lines = charts.flatMap((chart, side) => chart.series.map((one) => ({
    label: one.label, colour: colours.get(one.key), values: alignValues(one.values, chart.startsMs, startsMs), isBelow: side === 1,
  })))
  const legend = keys.map((key) => {
    const found = charts.flatMap((chart) => chart.series.filter((one) => one.key === key))
    return {
      label: found[0].label, colour: colours.get(key), filter: found[0].filter,
      mean: found.reduce((sum, one) => sum + one.mean, 0), isEstimate: found.some((one) => one.isEstimate),
    }
  })
  const means = charts.map((chart) => chart.totalMean)
  return {
    startsMs, lines, legend, means, percentiles: charts.map((chart) => chart.total95),
    summary: `Traffic over time: in ${si(means[0], "bit/s")}, out ${si(means[1], "bit/s")} on average`,
  }
}

function alignValues(values, from, to) {
  if (from === to) return values
  const at = new Map(from.map((start, index) => [start, values[index]]))
  return to.map((start) => at.get(start) ?? null)
}
