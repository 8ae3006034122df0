// A private endpoint and its name in the private DNS zone of the service (network.bicep makes the zones).
param name string
param location string
param tags object
param targetId string
@description('What of the target is reached: blob, queue, table, vault.')
param service string
param subnetId string
param zone string

resource dnsZone 'Microsoft.Network/privateDnsZones@2024-06-01' existing = {
  name: zone
}

resource endpoint 'Microsoft.Network/privateEndpoints@2025-01-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    subnet: { id: subnetId }
    privateLinkServiceConnections: [
      {
        name: service
        properties: { privateLinkServiceId: targetId, groupIds: [service] }
      }
    ]
  }
}

resource dnsName 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2025-01-01' = {
  parent: endpoint
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [{ name: service, properties: { privateDnsZoneId: dnsZone.id } }]
  }
}
