/* Which port of a flow is its service. Twin: appliance/services.py. */

#include <stdint.h>

enum { PORTS = 65536 };

/* Write the service port of each flow: the lower of those that have a name, else the lower.
   `family` says by protocol which 65,536 numbers of `names` are of its ports, 0 for no name.
   A stride is 1, or 0 for one number of all flows. */
void service_ports(const uint8_t *protocols, int64_t protocols_stride, const uint16_t *sources,
                   int64_t sources_stride, const uint16_t *destinations,
                   int64_t destinations_stride, int64_t n, const uint8_t *family,
                   const uint16_t *names, uint16_t *ports)
{
    for (int64_t row = 0; row < n; row++) {
        const uint16_t source = sources[row * sources_stride];
        const uint16_t destination = destinations[row * destinations_stride];
        const uint16_t lower = source < destination ? source : destination;
        const uint16_t upper = source < destination ? destination : source;
        const uint16_t *named = names + family[protocols[row * protocols_stride]] * PORTS;
        ports[row] = !named[lower] && named[upper] ? upper : lower;
    }
}
