/**
 * How to make a device send flows here. The blocks are those of the manual's chapter "Exporters",
 * with the address and the port of this box; a test holds both to each other.
 */

/**
 * @typedef {object} Recipe
 * @property {string} name
 * @property {string} checked against which manual, or how it was tried
 * @property {(address: string, port: number | string) => string} [text] to be pasted
 * @property {(address: string, port: number | string) => string[]} [steps] where it is done by hand
 * @property {string} [note]
 */

/** An address before its port, an IPv6 one in brackets. @param {string} address @param {number | string} port */
function withPort(address, port) {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`
}

/** @type {Recipe[]} */
export const RECIPES = [
  {
    name: "Cisco IOS XE, with NBAR", checked: "Cisco's Flexible NetFlow guide for IOS XE 17",
    note: "\"match application name\" makes NBAR recognise applications. Leave that line out on switches, where NBAR and Flexible NetFlow exclude each other on an interface, and on plain IOS. Monitor the input of every interface. For IPv6 make a second record and monitor with \"match ipv6 …\".",
    text: (address, port) => `flow record NETFLOW-APPLIANCE
 match ipv4 tos
 match ipv4 protocol
 match ipv4 source address
 match ipv4 destination address
 match transport source-port
 match transport destination-port
 match interface input
 match application name
 collect interface output
 collect routing source as
 collect routing destination as
 collect transport tcp flags
 collect counter bytes long
 collect counter packets long
 collect timestamp sys-uptime first
 collect timestamp sys-uptime last
flow exporter NETFLOW-APPLIANCE
 destination ${address}
 transport udp ${port}
 export-protocol netflow-v9
 template data timeout 60
 option interface-table timeout 300
 option sampler-table timeout 300
 option application-table timeout 300
flow monitor NETFLOW-APPLIANCE
 record NETFLOW-APPLIANCE
 exporter NETFLOW-APPLIANCE
 cache timeout active 60
interface GigabitEthernet0/0/0
 ip flow monitor NETFLOW-APPLIANCE input`,
  },
  {
    name: "Cisco IOS XR", checked: "Cisco's NetFlow guide for IOS XR 7.4",
    note: "Its packets leave through the routers' data ports, not through the management port.",
    text: (address, port) => `flow exporter-map NETFLOW-APPLIANCE
 version v9
  options interface-table timeout 300
  options sampler-table timeout 300
  template timeout 60
 !
 transport udp ${port}
 destination ${address}
flow monitor-map NETFLOW-APPLIANCE
 record ipv4
 exporter NETFLOW-APPLIANCE
 cache timeout active 60
sampler-map ONE-IN-1000
 random 1 out-of 1000
interface TenGigE0/0/0/0
 flow ipv4 monitor NETFLOW-APPLIANCE sampler ONE-IN-1000 ingress`,
  },
  {
    name: "Cisco NX-OS (Nexus 9000)", checked: "Cisco's system management guide for NX-OS 10.5",
    note: "Without a source interface the exporter stays off. Through the management port, write \"use-vrf management\" behind the destination and \"source mgmt0\".",
    text: (address, port) => `feature netflow
flow exporter NETFLOW-APPLIANCE
  destination ${address}
  transport udp ${port}
  source loopback0
  version 9
    template data timeout 60
flow record NETFLOW-APPLIANCE
  match ipv4 source address
  match ipv4 destination address
  match ip protocol
  match ip tos
  match transport source-port
  match transport destination-port
  collect transport tcp flags
  collect counter bytes long
  collect counter packets long
  collect timestamp sys-uptime first
  collect timestamp sys-uptime last
flow monitor NETFLOW-APPLIANCE
  record NETFLOW-APPLIANCE
  exporter NETFLOW-APPLIANCE
interface Ethernet1/1
  ip flow monitor NETFLOW-APPLIANCE input`,
  },
  {
    name: "Cisco ASA", checked: "Cisco's NSEL guide",
    note: "An ASA tells of a connection in events; the manual says which of them count.",
    text: (address, port) => `flow-export destination inside ${address} ${port}
flow-export template timeout-rate 1
flow-export active refresh-interval 1
access-list NETFLOW extended permit ip any any
class-map NETFLOW
 match access-list NETFLOW
policy-map global_policy
 class NETFLOW
  flow-export event-type all destination ${address}`,
  },
  {
    name: "Juniper MX, inline IPFIX", checked: "Juniper's flow monitoring guide, 2025",
    note: "192.0.2.1 stands for an address of the router. Sample each interface whose traffic counts.",
    text: (address, port) => `set services flow-monitoring version-ipfix template IPV4 flow-active-timeout 60
set services flow-monitoring version-ipfix template IPV4 template-refresh-rate seconds 60
set services flow-monitoring version-ipfix template IPV4 option-refresh-rate seconds 60
set services flow-monitoring version-ipfix template IPV4 ipv4-template
set forwarding-options sampling instance APPLIANCE input rate 1000
set forwarding-options sampling instance APPLIANCE family inet output flow-server ${address} port ${port}
set forwarding-options sampling instance APPLIANCE family inet output flow-server ${address} version-ipfix template IPV4
set forwarding-options sampling instance APPLIANCE family inet output inline-jflow source-address 192.0.2.1
set chassis fpc 0 sampling-instance APPLIANCE
set interfaces xe-0/0/0 unit 0 family inet sampling input`,
  },
  {
    name: "MikroTik RouterOS", checked: "MikroTik's manual for RouterOS 7",
    note: "Traffic that the switch chip forwards by itself is not seen by Traffic Flow.",
    text: (address, port) => `/ip traffic-flow set enabled=yes interfaces=all active-flow-timeout=1m
/ip traffic-flow target add dst-address=${address} port=${port} version=ipfix v9-template-timeout=1m`,
  },
  {
    name: "FortiGate", checked: "Fortinet's guide for FortiOS 7.4",
    note: "Up to 7.2, collector-ip and collector-port stand directly below \"config system netflow\"; up to 6.4 the timeouts are minutes.",
    text: (address, port) => `config system netflow
    set active-flow-timeout 60
    set template-tx-timeout 60
    config collectors
        edit 1
            set collector-ip ${address}
            set collector-port ${port}
        next
    end
end
config system interface
    edit port1
        set netflow-sampler both
    next
end`,
  },
  {
    name: "Palo Alto", checked: "Palo Alto's web interface help for PAN-OS 10.1",
    steps: (address, port) => [
      "Device → Server Profiles → NetFlow: add a profile.",
      `Servers: ${address}, port ${port}.`,
      "Template Refresh Rate: 1 minute. Active Timeout: 1 minute.",
      "Check \"PAN-OS Field Types\" for names of applications.",
      "Network → Interfaces: name the profile in each interface. Commit.",
    ],
  },
  {
    name: "OPNsense", checked: "OPNsense's manual, chapter NetFlow",
    note: "With ingress and egress both, traffic through NAT counts twice: list the WAN interfaces as such.",
    steps: (address, port) => [
      "Reporting → NetFlow.",
      "Listening interfaces: LAN and WAN. WAN interfaces: those that lead outside.",
      "Version: v9.",
      `Destinations: ${withPort(address, port)}. Apply.`,
    ],
  },
  {
    name: "pfSense", checked: "Netgate's manual for pfSense Plus 24.03",
    note: "pfSense CE has no Packet Flow Data: take its package softflowd with the same address and port, version 9 or 10, Maximum Lifetime 60.",
    steps: (address, port) => [
      "Firewall → Packet Flow Data: check \"Enables Packet Flow Data\" and tracking on all rules by default.",
      `Add an exporter: destination ${address}, port ${port}, protocol IPFIX.`,
      "Connections that exist already are not told: reset the states, or restart the firewall.",
    ],
  },
  {
    name: "VyOS", checked: "VyOS's manual, version 1.4",
    text: (address, port) => `set system flow-accounting interface eth0
set system flow-accounting disable-imt
set system flow-accounting netflow version 10
set system flow-accounting netflow server ${address} port ${port}
set system flow-accounting netflow timeout max-active-life 60
commit
save`,
  },
  {
    name: "Linux: softflowd", checked: "tried with softflowd 1.1.0",
    note: "Without -t a flow is told when it has ended, which may take an hour.",
    text: (address, port) => `apt-get install softflowd
softflowd -i eth0 -n ${withPort(address, port)} -v 9 -t maxlife=30 -t expint=5`,
  },
  {
    name: "Linux: pmacctd", checked: "tried with pmacctd 1.7.7",
    note: "Put this into probe.conf, then start pmacctd -f probe.conf.",
    text: (address, port) => `pcap_interface: eth0
plugins: nfprobe
aggregate: src_host, dst_host, src_port, dst_port, proto, tos
nfprobe_receiver: ${withPort(address, port)}
nfprobe_version: 10
nfprobe_timeouts: tcp=60:maxlife=60:expint=5`,
  },
  {
    name: "Open vSwitch", checked: "tried with Open vSwitch 3.1.0",
    note: "This is NetFlow v5, of every packet; octets are those of Ethernet frames. The address must be a number.",
    text: (address, port) => `ovs-vsctl -- set Bridge br0 netflow=@nf \\
  -- --id=@nf create NetFlow targets=\\"${withPort(address, port)}\\" active_timeout=60`,
  },
  {
    name: "Open vSwitch, sFlow", checked: "tried with Open vSwitch 3.1.0",
    note: "One packet of 400 is looked at. \"agent\" is the interface whose address names the switch.",
    text: (address, port) => `ovs-vsctl -- --id=@sf create sFlow agent=eth0 target=\\"${withPort(address, port)}\\" header=128 sampling=400 polling=30 \\
  -- set Bridge br0 sflow=@sf`,
  },
  {
    name: "Arista EOS, sFlow", checked: "Arista's user manual for EOS 4.29",
    note: "Once it runs, every interface is sampled that has not \"no sflow enable\".",
    text: (address, port) => `sflow sample 4096
sflow polling-interval 20
sflow destination ${address} ${port}
sflow source-interface Management1
sflow run`,
  },
  {
    name: "VMware distributed switch", checked: "VMware's networking guide for vSphere 8.0",
    steps: (address, port) => [
      "vSphere Client → the distributed switch → Configure → Settings → NetFlow → Edit.",
      `Collector IP address ${address}, collector port ${port}.`,
      "Active flow export timeout: 60 seconds. Sampling rate: 0, which is every packet.",
      "On each port group: Edit Settings → Monitoring → NetFlow: enabled.",
    ],
  },
]
