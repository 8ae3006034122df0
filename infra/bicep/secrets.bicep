// Key Vault for the secrets that links are signed with. infra/scripts/token-secrets.sh makes and rotates them:
// a template would show them in the deployment's history.
param name string
param location string
param tags object
param identityPrincipalId string
param operatorPrincipalId string
param operatorPrincipalType string
@description('Empty where the vault is reached over its public address.')
param endpointSubnetId string
param operatorAddress string

var isPrivate = !empty(endpointSubnetId)
var secretsUser = '4633458b-17de-408a-b874-0445c86b69e6'
var secretsOfficer = 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7'

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: { family: 'A', name: 'standard' }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 90
    // A vault that is gone takes every link that was ever sent along.
    enablePurgeProtection: true
    publicNetworkAccess: isPrivate && empty(operatorAddress) ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: isPrivate ? 'Deny' : 'Allow'
      ipRules: isPrivate && !empty(operatorAddress) ? [{ value: operatorAddress }] : []
    }
  }
}

resource identityRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, identityPrincipalId, secretsUser)
  scope: vault
  properties: {
    principalId: identityPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', secretsUser)
  }
}

resource operatorRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(operatorPrincipalId)) {
  name: guid(vault.id, operatorPrincipalId, secretsOfficer)
  scope: vault
  properties: {
    principalId: operatorPrincipalId
    principalType: operatorPrincipalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', secretsOfficer)
  }
}

module endpoint 'private-endpoint.bicep' = if (isPrivate) {
  name: 'endpoint-${name}'
  params: {
    name: 'pe-${name}'
    location: location
    tags: tags
    targetId: vault.id
    service: 'vault'
    subnetId: endpointSubnetId
    zone: 'privatelink.vaultcore.azure.net'
  }
}

output name string = vault.name
