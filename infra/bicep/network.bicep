// Private networking: one subnet that the app reaches out from, one for private endpoints, and their names.
param name string
param location string
param tags object

var storageSuffix = environment().suffixes.storage
var zones = [
  'privatelink.blob.${storageSuffix}'
  'privatelink.queue.${storageSuffix}'
  'privatelink.table.${storageSuffix}'
  'privatelink.vaultcore.azure.net'
]

resource firewall 'Microsoft.Network/networkSecurityGroups@2025-01-01' = {
  name: 'nsg-${name}'
  location: location
  tags: tags
}

resource network 'Microsoft.Network/virtualNetworks@2025-01-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: ['10.90.0.0/23'] }
    subnets: [
      {
        name: 'application'
        properties: {
          // /24: a Flex Consumption app takes addresses as it grows.
          addressPrefix: '10.90.0.0/24'
          networkSecurityGroup: { id: firewall.id }
          delegations: [{ name: 'functions', properties: { serviceName: 'Microsoft.App/environments' } }]
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: '10.90.1.0/26'
          networkSecurityGroup: { id: firewall.id }
          privateEndpointNetworkPolicies: 'Enabled'
        }
      }
    ]
  }
}

resource dnsZones 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for zone in zones: {
    name: zone
    location: 'global'
    tags: tags
  }
]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for (zone, index) in zones: {
    parent: dnsZones[index]
    name: 'network'
    location: 'global'
    properties: { registrationEnabled: false, virtualNetwork: { id: network.id } }
  }
]

output applicationSubnetId string = '${network.id}/subnets/application'
output endpointSubnetId string = '${network.id}/subnets/endpoints'
