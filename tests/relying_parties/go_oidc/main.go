// coreos/go-oidc with golang.org/x/oauth2 against the provider: prints what it got as JSON.
// usage: go run . issuer clientId secret redirectUri cookie
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

func main() {
	issuer, clientID, secret, redirectURI, cookie := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5]
	ctx := context.Background()
	provider, err := oidc.NewProvider(ctx, issuer)
	check(err)
	config := oauth2.Config{
		ClientID: clientID, ClientSecret: secret, RedirectURL: redirectURI, Endpoint: provider.Endpoint(),
		Scopes: []string{oidc.ScopeOpenID, "profile"},
	}
	verifier := oauth2.GenerateVerifier()
	address := config.AuthCodeURL("the state", oauth2.S256ChallengeOption(verifier), oidc.Nonce("the nonce"))
	back := follow(address, cookie)
	if back.Query().Get("state") != "the state" {
		log.Fatal("wrong state: ", back)
	}
	token, err := config.Exchange(ctx, back.Query().Get("code"), oauth2.VerifierOption(verifier))
	check(err)
	verifies := provider.Verifier(&oidc.Config{ClientID: clientID})
	idToken, err := verifies.Verify(ctx, token.Extra("id_token").(string))
	check(err)
	var rotation []string
	check(json.Unmarshal([]byte(os.Getenv("ROTATE_KEYS")), &rotation))
	check(exec.Command(rotation[0], rotation[1:]...).Run())
	token.Expiry = time.Now().Add(-time.Hour)
	refreshed, err := config.TokenSource(ctx, token).Token()
	check(err)
	renewed := refreshed.Extra("id_token").(string)
	_, err = verifies.Verify(ctx, renewed)
	check(err)
	info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(refreshed))
	check(err)

	var known struct {
		EndSession string `json:"end_session_endpoint"`
	}
	check(provider.Claims(&known))
	leaving := url.Values{"id_token_hint": {renewed}, "post_logout_redirect_uri": {redirectURI}}
	left := follow(known.EndSession+"?"+leaving.Encode(), cookie)
	refreshed.Expiry = time.Now().Add(-time.Hour)
	_, err = config.TokenSource(ctx, refreshed).Token()
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) {
		log.Fatal("refreshed after the sign-out: ", err)
	}
	check(json.NewEncoder(os.Stdout).Encode(map[string]any{
		"subject": idToken.Subject, "nonce": idToken.Nonce, "info": info.Subject, "left": left.String(),
		"rotated": refreshed.RefreshToken != token.RefreshToken, "refused": refused.ErrorCode,
		"kids": []string{header(token.Extra("id_token").(string)), header(renewed)},
	}))
}

func header(token string) string {
	decoded, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
	check(err)
	return string(decoded)
}

func follow(address, cookie string) *url.URL {
	request, err := http.NewRequest("GET", address, nil)
	check(err)
	request.Header.Set("Cookie", cookie)
	response, err := http.DefaultTransport.RoundTrip(request)
	check(err)
	back, err := response.Location()
	check(err)
	return back
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
