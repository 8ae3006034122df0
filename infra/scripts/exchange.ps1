<#
Lets the app send and read mail in the mailboxes of one group, and in no others: RBAC for Applications in Exchange
Online. A person with the role Exchange Administrator (Organization Management) runs it; it is safe to repeat.
Exchange takes up to two hours to heed a change. There must be no Mail.* permission of the app in Entra ID: the two add up.
Members of groups inside the group do not count.

    ./infra/scripts/exchange.ps1 -ClientId <id> -PrincipalId <id> -Group sellers@contoso.com
#>
param(
  [Parameter(Mandatory)] [string] $ClientId,
  [Parameter(Mandatory)] [string] $PrincipalId,
  [Parameter(Mandatory)] [string] $Group
)
$ErrorActionPreference = 'Stop'

Import-Module ExchangeOnlineManagement
Connect-ExchangeOnline -ShowBanner:$false

# Each deployment has its own: a second one, or one that was made anew, must not take over the first one's scope.
$name = "Email Engagement $($PrincipalId.Substring(0, 8))"
$members = (Get-Group -Identity $Group).DistinguishedName
$filter = "MemberOfGroup -eq '$($members -replace "'", "''")'"

if (-not (Get-ServicePrincipal -Identity $PrincipalId -ErrorAction SilentlyContinue)) {
  New-ServicePrincipal -AppId $ClientId -ObjectId $PrincipalId -DisplayName $name | Out-Null
}
if (Get-ManagementScope -Identity $name -ErrorAction SilentlyContinue) {
  Set-ManagementScope -Identity $name -RecipientRestrictionFilter $filter
} else {
  New-ManagementScope -Name $name -RecipientRestrictionFilter $filter | Out-Null
}
foreach ($role in 'Application Mail.ReadWrite', 'Application Mail.Send') {
  $assignment = "$name $role"
  if (-not (Get-ManagementRoleAssignment -Identity $assignment -ErrorAction SilentlyContinue)) {
    New-ManagementRoleAssignment -Name $assignment -App $PrincipalId -Role $role -CustomResourceScope $name | Out-Null
  }
}

# Add -Resource <mailbox>: InScope must be True for a member of the group and False for anybody else.
Test-ServicePrincipalAuthorization -Identity $PrincipalId | Format-Table RoleName, GrantedPermissions, AllowedResourceScope
