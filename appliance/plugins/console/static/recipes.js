/** How exporters are made to send flows here; ADDRESS and PORT stand for this appliance. */

/**
 * @typedef {object} Recipe
 * @property {string} name
 * @property {string} version what it was written for
 * @property {number} port 2055 for NetFlow, 4739 for IPFIX
 * @property {string} text
 * @property {string} [note]
 */

/** @type {Recipe[]} */
export const RECIPES = [
  { name: "Cisco IOS-XE, Flexible NetFlow with NBAR", version: "IOS-XE 17", port: 2055, text: `flow record APPLIANCE
 match ipv4 tos
 match ipv4 protocol
 match ipv4 source address
 match ipv4 destination address
 match transport source-port
 match transport destination-port
 match interface input
 match flow direction
 match application name
 collect interface output
 collect counter bytes long
 collect counter packets long
 collect timestamp sys-uptime first
 collect timestamp sys-uptime last
 collect transport tcp flags
flow exporter APPLIANCE
 destination ADDRESS
 transport udp PORT
 export-protocol netflow-v9
 template data timeout 60
 option interface-table timeout 300
 option application-table timeout 300
 option sampler-table timeout 300
flow monitor APPLIANCE
 record APPLIANCE
 exporter APPLIANCE
 cache timeout active 60
interface GigabitEthernet0/0/0
 ip flow monitor APPLIANCE input
 ip flow monitor APPLIANCE output`, note: "On every interface, input and output; without one of them half of the traffic is missing." },
  { name: "Cisco IOS-XR", version: "IOS-XR 7", port: 2055, text: `flow exporter-map APPLIANCE
 version v9
  template timeout 60
  options interface-table timeout 300
  options sampler-table timeout 300
 !
 transport udp PORT
 destination ADDRESS
!
flow monitor-map APPLIANCE
 record ipv4
 exporter APPLIANCE
 cache timeout active 60
!
sampler-map APPLIANCE
 random 1 out-of 1000
!
interface HundredGigE0/0/0/0
 flow ipv4 monitor APPLIANCE sampler APPLIANCE ingress` },
  { name: "Cisco NX-OS", version: "NX-OS 9", port: 2055, text: `feature netflow
flow exporter APPLIANCE
  destination ADDRESS
  transport udp PORT
  version 9
    template data timeout 60
    option interface-table timeout 300
flow record APPLIANCE
  match ipv4 source address
  match ipv4 destination address
  match ip protocol
  match transport source-port
  match transport destination-port
  collect counter bytes
  collect counter packets
  collect timestamp sys-uptime first
  collect timestamp sys-uptime last
flow monitor APPLIANCE
  record APPLIANCE
  exporter APPLIANCE
interface Ethernet1/1
  ip flow monitor APPLIANCE input` },
  { name: "Juniper Junos, inline IPFIX", version: "Junos 21, MX", port: 4739, text: `set services flow-monitoring version-ipfix template APPLIANCE ipv4-template
set services flow-monitoring version-ipfix template APPLIANCE flow-active-timeout 60
set services flow-monitoring version-ipfix template APPLIANCE template-refresh-rate seconds 60
set services flow-monitoring version-ipfix template APPLIANCE option-refresh-rate seconds 60
set forwarding-options sampling instance APPLIANCE input rate 1000
set forwarding-options sampling instance APPLIANCE family inet output flow-server ADDRESS port PORT
set forwarding-options sampling instance APPLIANCE family inet output flow-server ADDRESS version-ipfix template APPLIANCE
set forwarding-options sampling instance APPLIANCE family inet output inline-jflow source-address ROUTER
set chassis fpc 0 sampling-instance APPLIANCE
set interfaces ge-0/0/0 unit 0 family inet sampling input
set interfaces ge-0/0/0 unit 0 family inet sampling output` },
  { name: "MikroTik RouterOS", version: "RouterOS 7", port: 2055, text: `/ip traffic-flow set enabled=yes interfaces=all active-flow-timeout=1m
/ip traffic-flow target add dst-address=ADDRESS port=PORT version=9 v9-template-timeout=1m` },
  { name: "Fortinet FortiGate", version: "FortiOS 7.2", port: 2055, text: `config system netflow
  set collector-ip ADDRESS
  set collector-port PORT
  set active-flow-timeout 60
  set template-tx-timeout 60
end
config system interface
  edit "wan1"
    set netflow-sampler both
  next
end` },
  { name: "Palo Alto PAN-OS", version: "PAN-OS 10", port: 2055, text: `set shared server-profile netflow APPLIANCE server appliance host ADDRESS
set shared server-profile netflow APPLIANCE server appliance port PORT
set shared server-profile netflow APPLIANCE template-refresh-rate minutes 1
set shared server-profile netflow APPLIANCE active-timeout 1
set network interface ethernet ethernet1/1 layer3 netflow-profile APPLIANCE` },
  { name: "OPNsense", version: "OPNsense 24", port: 2055, text: `Reporting > NetFlow
  Listening interfaces  all that matter
  WAN interfaces        the uplinks
  Version               v9
  Destinations          ADDRESS:PORT` },
  { name: "pfSense", version: "softflowd package", port: 2055, text: `Services > softflowd
  Interface        all that matter
  Host             ADDRESS
  Port             PORT
  NetFlow version  9
  Timeouts, general and maximum life  60` },
  { name: "VyOS", version: "VyOS 1.4", port: 2055, text: `set system flow-accounting interface eth0
set system flow-accounting netflow version 9
set system flow-accounting netflow server ADDRESS port PORT
set system flow-accounting netflow timeout expiry-interval 60
set system flow-accounting netflow timeout max-active-life 60` },
  { name: "softflowd on Linux or BSD", version: "softflowd 1.0", port: 2055, text: `softflowd -i eth0 -v 9 -n ADDRESS:PORT -t maxlife=60 -t general=60` },
  { name: "Open vSwitch", version: "Open vSwitch 3.1", port: 4739, text: `ovs-vsctl -- set bridge br0 ipfix=@i -- \\
  --id=@i create ipfix targets=\\"ADDRESS:PORT\\" sampling=1 cache_active_timeout=60` },
  { name: "VMware vSphere Distributed Switch", version: "vSphere 7", port: 4739, text: `Networking > the switch > Configure > NetFlow > Edit
  Collector IP address         ADDRESS
  Collector port               PORT
  Active flow export timeout   60
Port group > Edit > Monitoring > NetFlow: Enabled` },
]

/** @param {Recipe} recipe @param {string} address @param {number} [port] */
export function filledIn(recipe, address, port = recipe.port) {
  return recipe.text.replaceAll("ADDRESS", address).replaceAll("PORT", String(port))
}
