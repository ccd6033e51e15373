/* An IPFIX exporter by libfixbuf, the library of YAF and SiLK, for the tests of connections.
 *
 * fixbuf_exporter HOST PORT N sends N flows over TCP; fixbuf_exporter file PATH N writes them to a file.
 */
#include <fixbuf/public.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct flow {
    uint64_t start_ms, end_ms, octets, packets;
    uint32_t source, destination;
    uint16_t source_port, destination_port;
    uint8_t protocol, padding[3];
};

static fbInfoElementSpec_t fields[] = {
    {"flowStartMilliseconds", 8, 0}, {"flowEndMilliseconds", 8, 0}, {"octetDeltaCount", 8, 0},
    {"packetDeltaCount", 8, 0},      {"sourceIPv4Address", 4, 0},   {"destinationIPv4Address", 4, 0},
    {"sourceTransportPort", 2, 0},   {"destinationTransportPort", 2, 0},
    {"protocolIdentifier", 1, 0},    {"paddingOctets", 3, 0},       FB_IESPEC_NULL};

static void check(gboolean done, GError *error) {
    if (!done) {
        fprintf(stderr, "fixbuf: %s\n", error ? error->message : "failed");
        exit(1);
    }
}

int main(int argc, char **argv) {
    GError *error = NULL;
    fbConnSpec_t target = {.transport = FB_TCP, .host = argv[1], .svc = argv[2]};
    fbInfoModel_t *model = fbInfoModelAlloc();
    fbSession_t *session = fbSessionAlloc(model);
    fbTemplate_t *inside = fbTemplateAlloc(model), *outside = fbTemplateAlloc(model);
    check(fbTemplateAppendSpecArray(inside, fields, 0, &error), error);
    check(fbTemplateAppendSpecArray(outside, fields, 0, &error), error);
    uint16_t number = fbSessionAddTemplate(session, TRUE, 1000, inside, &error);
    check(number && fbSessionAddTemplate(session, FALSE, 1000, outside, &error), error);
    fbExporter_t *exporter = strcmp(argv[1], "file") ? fbExporterAllocNet(&target)
                                                      : fbExporterAllocFile(argv[2]);
    fBuf_t *buffer = fBufAllocForExport(session, exporter);
    check(fbSessionExportTemplates(session, &error), error);
    check(fBufSetInternalTemplate(buffer, 1000, &error), error);
    check(fBufSetExportTemplate(buffer, 1000, &error), error);
    for (int i = 0; i < atoi(argv[3]); i++) {
        struct flow flow = {.start_ms = 1700000000000ULL, .end_ms = 1700000001000ULL, .octets = 1500,
                            .packets = 3, .source = 0x0a000001, .destination = 0x0a000002,
                            .source_port = i % 60000, .destination_port = 443, .protocol = 6};
        check(fBufAppend(buffer, (uint8_t *)&flow, sizeof flow, &error), error);
    }
    check(fBufEmit(buffer, &error), error);
    fBufFree(buffer);
    return 0;
}
