/** Traffic over time in two directions, the second below zero, stacked by one dimension. */
import { html, useMemo } from "../base.js"
import { useAnswer } from "../api.js"
import { useRange } from "../router.js"
import { pictureOfBoth } from "../series.js"
import { setLimits } from "./range.js"
import { Panel, Provenance, Shown } from "./state.js"
import { TimeChart } from "./chart.js"

const GROUPS = 7

/**
 * @param {{note: string, filters: [string, string], empty: string, by?: string, height?: number, tools?: any,
 *   children: (picture: any) => any}} props filters of what is drawn above and below; children is what stands below the chart
 */
export function Traffic({ note, filters, empty, by = "application", height = 280, tools, children }) {
  const range = useRange()
  const ask = (filter) => useAnswer("/api/v1/explore/series", { ...range, by, filter, limit: GROUPS })
  const above = ask(filters[0])
  const below = ask(filters[1])
  const picture = useMemo(() => above.data && below.data && pictureOfBoth(above.data, below.data), [above.data, below.data])
  const answer = { ...above, data: picture, error: above.error ?? below.error }
  return html`<${Panel} title="Traffic" note=${note} tools=${tools}>
    <${Shown} answer=${answer} lines=${9} isEmpty=${(data) => !data.lines.length} empty=${empty}>${(data) => html`
      <${TimeChart} startsMs=${data.startsMs} lines=${data.lines} unit="bit/s" height=${height} onZoom=${setLimits} summary=${data.summary} />
      ${children(data)}
      <${Provenance} answer=${above.data} />`}<//><//>`
}
