// What `azd up` creates: one resource group with everything in it. docs/deploying.md explains each parameter.
targetScope = 'subscription'

@minLength(1)
@maxLength(40)
@description('Name of the azd environment; names the resource group.')
param environmentName string

@minLength(1)
@description('Region; it must offer Flex Consumption.')
param location string

@description('Object id of whoever deploys: may read and write the data, so that manage.py works. Empty for nobody.')
param principalId string = ''

@allowed(['User', 'Group', 'ServicePrincipal'])
@description('What principalId is.')
param principalType string = 'User'

@allowed([512, 2048, 4096])
@description('Memory of an instance in MB; processor and network come with it.')
param instanceMemory int = 2048

@minValue(40)
@maxValue(1000)
@description('Most instances at once.')
param maximumInstances int = 100

@minValue(1)
@maxValue(1000)
@description('HTTP requests that an instance handles at once. Azure assumes 1 for Python; ours only wait.')
param httpConcurrency int = 100

@minValue(0)
@description('Instances kept warm for recipients and the Web API. With 0 the first hit waits for a cold start.')
param alwaysReadyHttp int = 1

@minValue(0)
@description('Instances kept warm for the fold. With 0 the first card after a pause comes late.')
param alwaysReadyFold int = 1

@description('Comma-separated audiences of bearer tokens: application ID URIs and client id. A hook fills it in; empty refuses all.')
param webApiAudience string = ''

@minValue(0)
@maxValue(255)
@description('Id of the secret that new links are signed with; one of those in Key Vault.')
param tokenKey int = 1

@description('Comma-separated networks whose X-Forwarded-For entries are believed; for a front door before the app.')
param trustedProxies string = ''

@description('Host name of the links, such as links.contoso.com. Empty for the function app\'s own.')
param customDomain string = ''

@description('Name of the certificate in the deployment\'s Key Vault that customDomain is served with.')
param customDomainCertificate string = ''

@description('Comma-separated names of organizations that get a storage account of their own.')
param organizationsWithOwnStorage string = ''

@description('Comma-separated names of organizations that brought links from another deployment (manage.py restore).')
param organizationsWithLinkKeys string = ''

@description('Storage and Key Vault are reached over private endpoints only.')
param privateNetwork bool = false

@description('With privateNetwork: public IPv4 address that may still reach storage and Key Vault, to run manage.py.')
param operatorAddress string = ''

@allowed(['Standard_LRS', 'Standard_ZRS', 'Standard_GRS', 'Standard_GZRS', 'Standard_RAGRS', 'Standard_RAGZRS'])
@description('How storage is replicated.')
param storageReplication string = 'Standard_ZRS'

@minValue(30)
@maxValue(730)
@description('Days that logs and metrics are kept.')
param logRetention int = 30

@minValue(1)
@description('Most GB of logs a day; what comes beyond is dropped.')
param logDailyCap int = 1

@description('Address that alerts and budget warnings go to. Empty for no alert rules.')
param alertAddress string = ''

@minValue(0)
@description('Warn when a month costs more, in the currency of the subscription. 0 for no budget.')
param monthlyBudget int = 100

@description('First day of the month in which the budget begins, yyyy-mm-01; Azure takes no other later. A hook fills it in.')
param budgetStart string = ''

var tags = { 'azd-env-name': environmentName }
// Written 'contoso, fabrikam' as well as 'contoso,fabrikam'.
var withOwnStorage = replace(organizationsWithOwnStorage, ' ', '')
var withLinkKeys = replace(organizationsWithLinkKeys, ' ', '')
var organizations = empty(withOwnStorage) ? [] : split(withOwnStorage, ',')
var suffix = uniqueString(subscription().id, environmentName, location)

var organizationStorageSettings = [
  for organization in organizations: {
    name: 'STORAGE_${toUpper(organization)}'
    value: 'st${uniqueString(suffix, organization)}'
  }
]

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: tags
}

module identity 'identity.bicep' = {
  name: 'identity'
  scope: group
  params: { name: 'id-${suffix}', location: location, tags: tags }
}

module network 'network.bicep' = if (privateNetwork) {
  name: 'network'
  scope: group
  params: { name: 'vnet-${suffix}', location: location, tags: tags }
}

module storage 'storage.bicep' = {
  name: 'storage'
  scope: group
  params: {
    name: 'st${suffix}'
    location: location
    tags: tags
    replication: storageReplication
    isHostAccount: true
    identityPrincipalId: identity.outputs.principalId
    operatorPrincipalId: principalId
    operatorPrincipalType: principalType
    endpointSubnetId: privateNetwork ? (network!.outputs.endpointSubnetId) : ''
    operatorAddress: operatorAddress
  }
}

module organizationStorage 'storage.bicep' = [
  for organization in organizations: {
    name: 'storage-${organization}'
    scope: group
    params: {
      name: 'st${uniqueString(suffix, organization)}'
      location: location
      tags: union(tags, { organization: organization })
      replication: storageReplication
      isHostAccount: false
      identityPrincipalId: identity.outputs.principalId
      operatorPrincipalId: principalId
      operatorPrincipalType: principalType
      endpointSubnetId: privateNetwork ? (network!.outputs.endpointSubnetId) : ''
      operatorAddress: operatorAddress
    }
  }
]

module secrets 'secrets.bicep' = {
  name: 'secrets'
  scope: group
  params: {
    name: 'kv-${suffix}'
    location: location
    tags: tags
    identityPrincipalId: identity.outputs.principalId
    operatorPrincipalId: principalId
    operatorPrincipalType: principalType
    endpointSubnetId: privateNetwork ? (network!.outputs.endpointSubnetId) : ''
    operatorAddress: operatorAddress
  }
}

module telemetry 'telemetry.bicep' = {
  name: 'telemetry'
  scope: group
  params: {
    name: suffix
    location: location
    tags: tags
    retention: logRetention
    dailyCap: logDailyCap
    identityPrincipalId: identity.outputs.principalId
  }
}

module function 'function.bicep' = {
  name: 'function'
  scope: group
  params: {
    name: 'func-${suffix}'
    location: location
    tags: tags
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    storageAccount: storage.outputs.name
    packageContainerUrl: storage.outputs.packageContainerUrl
    organizationStorage: organizationStorageSettings
    organizationsWithLinkKeys: empty(withLinkKeys) ? [] : split(withLinkKeys, ',')
    vaultName: secrets.outputs.name
    applicationInsightsConnectionString: telemetry.outputs.connectionString
    subnetId: privateNetwork ? (network!.outputs.applicationSubnetId) : ''
    instanceMemory: instanceMemory
    maximumInstances: maximumInstances
    httpConcurrency: httpConcurrency
    alwaysReadyHttp: alwaysReadyHttp
    alwaysReadyFold: alwaysReadyFold
    webApiAudience: webApiAudience
    tokenKey: tokenKey
    trustedProxies: trustedProxies
    customDomain: customDomain
    customDomainCertificate: customDomainCertificate
  }
}

module alerts 'alerts.bicep' = if (!empty(alertAddress)) {
  name: 'alerts'
  scope: group
  params: {
    name: suffix
    location: location
    tags: tags
    address: alertAddress
    workspaceId: telemetry.outputs.workspaceId
    monthlyBudget: monthlyBudget
    budgetStart: budgetStart
  }
}

// azd keeps these in its environment; the hooks and manage.py read them there.
output AZURE_RESOURCE_GROUP string = group.name
output AZURE_FUNCTION_NAME string = function.outputs.name
output AZURE_IDENTITY_CLIENT_ID string = identity.outputs.clientId
output AZURE_IDENTITY_PRINCIPAL_ID string = identity.outputs.principalId
output AZURE_KEY_VAULT_NAME string = secrets.outputs.name
output AZURE_ORGANIZATION_STORAGE array = organizationStorageSettings
output AZURE_STORAGE_ACCOUNT string = storage.outputs.name
output BASE_URL string = function.outputs.baseUrl
